//! The floors: who may import whom, what a package is called, what may be there at all.

use super::{
    Finding,
    house::{Crate, FLOORS, House},
    source::words,
};

/// The ground's own order: each may import those before it.
const GROUND_ORDER: [&str; 5] = ["clock", "naming", "seal", "permit", "wire"];

/// The one crate of the app floor that the nouns share.
const SHARED: &str = "node";

/// The one crate of the app floor that joins nouns.
const JOINING: &str = "flows";

/// The one feature that there may be: crash points, in test builds.
const FEATURE: &str = "mishaps";

/// Crates import only downward, siblings only as listed.
pub(super) fn imports(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for from in house.crates() {
        let normal = from.dependencies.iter().map(|name| (name, false));
        for (name, is_dev) in normal.chain(from.dev_dependencies.iter().map(|name| (name, true))) {
            let Some(to) = house.find(name) else { continue };
            if let Some(reason) = refusal(from, to, is_dev) {
                let path = from.manifest_path();
                findings.push(Finding::new(
                    &path,
                    house.line_of(&path, name),
                    format!("`{}` imports `{name}`: {reason}", from.name),
                ));
            }
        }
    }
    findings
}

/// Why `from` may not import `to`.
fn refusal(from: &Crate, to: &Crate, is_dev: bool) -> Option<String> {
    let Some(high) = from.height() else {
        return (from.floor != "side")
            .then(|| format!("`{}` is no floor; they are {} and side", from.floor, FLOORS.join(", ")));
    };
    let Some(low) = to.height() else {
        return (!is_dev).then(|| "side crates are for tests and checks; make it a dev-dependency".to_owned());
    };
    if high > low || from.name == to.name {
        return None;
    }
    if high < low {
        return Some(format!("{} stands below {}, and imports run only downward", from.floor, to.floor));
    }
    let place = |c: &Crate| GROUND_ORDER.iter().position(|name| *name == c.short_name());
    match (from.floor.as_str(), from.short_name(), to.short_name()) {
        ("ground", ..) => match (place(from), place(to)) {
            (Some(a), Some(b)) if a > b => None,
            _ => Some(format!("on the ground each may import only those before it: {}", GROUND_ORDER.join(", "))),
        },
        ("app", SHARED, _) => {
            Some("node knows no noun; move what they share into node, or the verb into flows".to_owned())
        }
        ("app", _, SHARED) | ("app", JOINING, _) => None,
        ("app", ..) => Some("a noun imports no other noun; join them in flows".to_owned()),
        _ => Some("siblings never import siblings; what both need goes to the ground, or they meet above".to_owned()),
    }
}

/// A package is called after its floor and folder.
pub(super) fn packages(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for c in house.crates() {
        let name = match c.floor.as_str() {
            "steward" => "steward".to_owned(),
            "app" => format!("steward-app-{}", c.short_name()),
            _ => format!("steward-{}", c.short_name()),
        };
        let path = c.manifest_path();
        if c.name != name {
            findings.push(Finding::new(
                &path,
                house.line_of(&path, "name"),
                format!("`{}` stands where `{name}` should", c.name),
            ));
        }
        let package = c.manifest.get("package");
        if package.and_then(|p| p.get("description")).and_then(|d| d.as_str()).unwrap_or_default().is_empty() {
            findings.push(Finding::new(&path, 1, "a package says in a sentence what it is; write `description`"));
        }
        if c.manifest.get("lints").and_then(|l| l.get("workspace")).and_then(toml::Value::as_bool) != Some(true) {
            findings.push(Finding::new(
                &path,
                1,
                "the house's lints are not on; write `workspace = true` under `[lints]`",
            ));
        }
    }
    findings
}

/// No crate and no dependency is there before something uses it.
pub(super) fn used(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for c in house.crates() {
        let path = c.manifest_path();
        let is_imported =
            house.crates().iter().any(|other| other.name != c.name && other.dependencies.contains(&c.name));
        if !is_imported && !matches!(c.floor.as_str(), "steward" | "side") {
            findings.push(Finding::new(
                &path,
                1,
                format!("nothing imports `{}`; a crate comes with its first user", c.name),
            ));
        }
        for name in &c.dependencies {
            let word = name.replace('-', "_");
            if !house.sources_of(&c.folder).any(|s| words(&s.code, &word).next().is_some()) {
                findings.push(Finding::new(
                    &path,
                    house.line_of(&path, name),
                    format!(
                        "no code of `{}` outside tests names `{name}`; take it out, or make it a dev-dependency",
                        c.name
                    ),
                ));
            }
        }
        for name in &c.dev_dependencies {
            let word = name.replace('-', "_");
            // One that switches on a feature of a test build does so without being named.
            let line = house.line_of(&path, name);
            let text = house.files().get(&path).and_then(|text| text.lines().nth(line.saturating_sub(1)));
            let has_feature = text.is_some_and(|text| text.contains("features = ["));
            if !has_feature && !house.sources_of(&c.folder).any(|s| words(&s.text, &word).next().is_some()) {
                findings.push(Finding::new(
                    &path,
                    house.line_of(&path, name),
                    format!("no test of `{}` names `{name}`; take it out", c.name),
                ));
            }
        }
    }
    for (name, _) in house.workspace_dependencies() {
        let is_used =
            house.crates().iter().any(|c| c.dependencies.contains(&name) || c.dev_dependencies.contains(&name));
        if !is_used {
            findings.push(Finding::new(
                "Cargo.toml",
                house.line_of("Cargo.toml", &name),
                format!("no crate uses `{name}`; take it out"),
            ));
        }
    }
    findings
}

/// Versions stand once, in `[workspace.dependencies]`.
pub(super) fn versions(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for c in house.crates() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, spec) in c.manifest.get(kind).and_then(|t| t.as_table()).into_iter().flatten() {
                if spec.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    let path = c.manifest_path();
                    let message = format!("`{name}` has a version of its own; write `{name}.workspace = true`");
                    findings.push(Finding::new(&path, house.line_of(&path, name), message));
                }
            }
        }
    }
    findings
}

/// No feature flags but `mishaps`.
pub(super) fn features(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for c in house.crates() {
        let path = c.manifest_path();
        let features = c.manifest.get("features").and_then(|f| f.as_table());
        for (name, _) in features.into_iter().flatten().filter(|(name, _)| *name != FEATURE) {
            let message = format!(
                "the feature `{name}`: a flag is for a build that is shipped, and only `{FEATURE}` is excepted"
            );
            findings.push(Finding::new(&path, house.line_of(&path, name), message));
        }
        let enabled: Vec<&str> = features
            .and_then(|f| f.get(FEATURE))
            .and_then(|f| f.as_array())
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str())
            .collect();
        for (name, spec) in c.manifest.get("dependencies").and_then(|t| t.as_table()).into_iter().flatten() {
            let is_optional = spec.get("optional").and_then(toml::Value::as_bool) == Some(true);
            if is_optional && !enabled.contains(&format!("dep:{name}").as_str()) {
                let message = format!(
                    "`{name}` is optional, which makes a feature of it; only `{FEATURE}` may switch something on"
                );
                findings.push(Finding::new(&path, house.line_of(&path, name), message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// The findings of `rule` in a house of crates, each written `folder: dependencies; dev-dependencies`.
    fn check(rule: fn(&House) -> Vec<Finding>, crates: &[&str], findings: Expect) {
        let mut files = Vec::new();
        for line in crates {
            let (folder, rest) = line.split_once(':').expect("folder: dependencies");
            let (normal, dev) = rest.split_once(';').unwrap_or((rest, ""));
            let table = |names: &str| {
                names.split_whitespace().fold(String::new(), |t, n| t + &format!("{n}.workspace = true\n"))
            };
            let (floor, short) = folder.split_once('/').unwrap_or(("", folder));
            let name = match floor {
                "" => short.to_owned(),
                "app" => format!("steward-app-{short}"),
                _ => format!("steward-{short}"),
            };
            let manifest = format!(
                "[package]\nname = \"{name}\"\n[dependencies]\n{}[dev-dependencies]\n{}",
                table(normal),
                table(dev)
            );
            files.push((format!("crates/{folder}/Cargo.toml"), manifest));
        }
        let files: Vec<_> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        shows(rule, &files, findings);
    }

    fn shows(rule: fn(&House) -> Vec<Finding>, files: &[(&str, &str)], findings: Expect) {
        let found: Vec<String> =
            rule(&House::of(files)).iter().map(|f| format!("{}:{} {}\n", f.path, f.line, f.message)).collect();
        findings.assert_eq(&found.concat());
    }

    #[test]
    fn downward_is_allowed() {
        check(
            imports,
            &[
                "ground/clock:",
                "ground/naming: steward-clock",
                "core/policy: steward-naming serde",
                "edge/store: steward-policy; steward-testkit",
                "app/node: steward-store",
                "app/people: steward-app-node",
                "app/flows: steward-app-people steward-app-node",
                "face/api: steward-app-flows steward-clock",
                "steward: steward-api steward-app-node",
                "side/testkit: steward-api steward-store",
            ],
            expect![""],
        );
    }

    #[test]
    fn upward_and_sideways_are_refused() {
        check(
            imports,
            &["ground/clock: steward-policy", "core/policy:"],
            expect![[r#"
            crates/ground/clock/Cargo.toml:4 `steward-clock` imports `steward-policy`: ground stands below core, and imports run only downward
        "#]],
        );
        check(
            imports,
            &["ground/clock: steward-naming", "ground/naming:"],
            expect![[r#"
            crates/ground/clock/Cargo.toml:4 `steward-clock` imports `steward-naming`: on the ground each may import only those before it: clock, naming, seal, permit, wire
        "#]],
        );
        check(
            imports,
            &["core/policy: steward-ledger", "core/ledger:"],
            expect![[r#"
            crates/core/policy/Cargo.toml:4 `steward-policy` imports `steward-ledger`: siblings never import siblings; what both need goes to the ground, or they meet above
        "#]],
        );
        check(
            imports,
            &["app/node: steward-app-people", "app/people: steward-app-agents", "app/agents:"],
            expect![[r#"
            crates/app/node/Cargo.toml:4 `steward-app-node` imports `steward-app-people`: node knows no noun; move what they share into node, or the verb into flows
            crates/app/people/Cargo.toml:4 `steward-app-people` imports `steward-app-agents`: a noun imports no other noun; join them in flows
        "#]],
        );
        check(
            imports,
            &["face/cli: steward-api", "face/api:; steward-cli"],
            expect![[r#"
            crates/face/api/Cargo.toml:5 `steward-api` imports `steward-cli`: siblings never import siblings; what both need goes to the ground, or they meet above
            crates/face/cli/Cargo.toml:4 `steward-cli` imports `steward-api`: siblings never import siblings; what both need goes to the ground, or they meet above
        "#]],
        );
        check(
            imports,
            &["steward: steward-testkit", "side/testkit:"],
            expect![[r#"
            crates/steward/Cargo.toml:4 `steward` imports `steward-testkit`: side crates are for tests and checks; make it a dev-dependency
        "#]],
        );
        check(
            imports,
            &["cellar/wine: steward-clock", "ground/clock:"],
            expect![[r#"
            crates/cellar/wine/Cargo.toml:4 `steward-wine` imports `steward-clock`: `cellar` is no floor; they are ground, core, edge, app, face, steward and side
        "#]],
        );
    }

    #[test]
    fn packages_are_called_after_their_place() {
        shows(
            packages,
            &[("crates/app/people/Cargo.toml", "[package]\nname = \"steward-people\"")],
            expect![[r#"
            crates/app/people/Cargo.toml:2 `steward-people` stands where `steward-app-people` should
            crates/app/people/Cargo.toml:1 a package says in a sentence what it is; write `description`
            crates/app/people/Cargo.toml:1 the house's lints are not on; write `workspace = true` under `[lints]`
        "#]],
        );
        let good = "[package]\nname = \"steward\"\ndescription = \"x\"\n[lints]\nworkspace = true";
        shows(packages, &[("crates/steward/Cargo.toml", good)], expect![""]);
    }

    #[test]
    fn what_nothing_uses_is_found() {
        let manifest = "[package]\nname = \"steward-clock\"\n[dependencies]\nchrono = \"1\"\nhex = \"1\"\n[dev-dependencies]\nproptest = \"1\"";
        let files = [
            ("Cargo.toml", "[workspace.dependencies]\nchrono = \"1\"\nrand = \"1\""),
            ("crates/ground/clock/Cargo.toml", manifest),
            ("crates/ground/clock/src/lib.rs", "use chrono::X; // hex\n#[cfg(test)] mod tests { use hex::y; }"),
        ];
        shows(
            used,
            &files,
            expect![[r#"
            crates/ground/clock/Cargo.toml:1 nothing imports `steward-clock`; a crate comes with its first user
            crates/ground/clock/Cargo.toml:5 no code of `steward-clock` outside tests names `hex`; take it out, or make it a dev-dependency
            crates/ground/clock/Cargo.toml:7 no test of `steward-clock` names `proptest`; take it out
            Cargo.toml:3 no crate uses `rand`; take it out
        "#]],
        );
    }

    #[test]
    fn versions_of_their_own_are_found() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nhex = \"1\"\nserde = { workspace = true }\n[dev-dependencies]\nclap = { path = \"..\" }";
        shows(
            versions,
            &[("crates/core/x/Cargo.toml", manifest)],
            expect![[r#"
            crates/core/x/Cargo.toml:4 `hex` has a version of its own; write `hex.workspace = true`
            crates/core/x/Cargo.toml:7 `clap` has a version of its own; write `clap.workspace = true`
        "#]],
        );
    }

    #[test]
    fn features_are_found() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nhex = { workspace = true, optional = true }\n\
            rustix = { workspace = true, optional = true }\n[features]\ndefault = []\nmishaps = [\"dep:rustix\"]";
        shows(
            features,
            &[("crates/core/x/Cargo.toml", manifest)],
            expect![[r#"
            crates/core/x/Cargo.toml:7 the feature `default`: a flag is for a build that is shipped, and only `mishaps` is excepted
            crates/core/x/Cargo.toml:4 `hex` is optional, which makes a feature of it; only `mishaps` may switch something on
        "#]],
        );
    }
}
