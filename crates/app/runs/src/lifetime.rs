//! How long a run's credential and lock last without a sign of life: its tier's lifetime (GOV-1).

use steward_permit::Tier;

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// The lifetime of a tier's credentials, in milliseconds. A transition renews it.
pub const fn lifetime_ms(tier: Tier) -> u64 {
    match tier {
        Tier::T0 => 60 * MINUTE_MS,
        Tier::T1 | Tier::T2 => 30 * MINUTE_MS,
        Tier::T3 | Tier::T4 => 15 * MINUTE_MS,
    }
}
