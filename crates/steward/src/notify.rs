//! The service manager is told how it stands: systemd's `sd_notify` protocol, datagrams to the socket that `NOTIFY_SOCKET` names.
//!
//! `READY=1` once the node listens, `STOPPING=1` when it stops, `WATCHDOG=1` now and then, but only while the node does its work: its
//! main loop comes round and its store answers. A node that hangs says nothing, and is started anew.
//!
//! Without the variable there is nobody to tell.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::{Duration, Instant},
};

/// Who is told.
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that all is well.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Notifier {
    /// Whoever the environment names. `pid` is this process.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>, pid: u32) -> Self {
        let to = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        // It may be for another process that this one was started by.
        let is_ours = variable("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(pid));
        let limit: Option<u64> = variable("WATCHDOG_USEC").and_then(|text| text.parse().ok());
        // Half of what is allowed, as sd_watchdog_enabled(3) has it, so that one that is late is no disaster.
        let every = limit.filter(|us| is_ours && *us > 0).map(|us| Duration::from_micros(us / 2));
        Self { to, every, last: None }
    }

    /// Whether it wants to hear now and then that all is well, and has not for a while.
    pub(crate) fn is_due(&self) -> bool {
        let Some(every) = self.every else { return false };
        self.to.is_some() && self.last.is_none_or(|last| last.elapsed() >= every)
    }

    /// All is well.
    pub(crate) fn is_well(&mut self) {
        self.last = Some(Instant::now());
        self.tell("WATCHDOG=1");
    }

    /// Tells something. What cannot be told cannot be helped.
    pub(crate) fn tell(&self, what: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
    }

    /// How often the main loop has to come round so that it is in time; none if nobody waits.
    pub(crate) fn every(&self) -> Option<Duration> {
        self.every
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixDatagram, time::Duration};

    use super::Notifier;

    fn notifier(variables: &[(&str, &str)]) -> Notifier {
        Notifier::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()), 42)
    }

    #[test]
    fn it_is_told_over_the_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let mut notifier = notifier(&[
            ("NOTIFY_SOCKET", path.to_str().expect("text")),
            ("WATCHDOG_USEC", "60000000"),
            ("WATCHDOG_PID", "42"),
        ]);
        assert_eq!(notifier.every(), Some(Duration::from_secs(30)));
        notifier.tell("READY=1");
        assert!(notifier.is_due());
        notifier.is_well();
        assert!(!notifier.is_due(), "not again at once");
        let mut said = [0; 64];
        for expected in ["READY=1", "WATCHDOG=1"] {
            let n = socket.recv(&mut said).expect("a datagram");
            assert_eq!(&said[..n], expected.as_bytes());
        }
    }

    #[test]
    fn without_anybody_nothing_is_told() {
        assert!(!notifier(&[]).is_due());
        assert!(!notifier(&[("WATCHDOG_USEC", "60")]).is_due(), "nobody to tell");
        let of_another = [("NOTIFY_SOCKET", "@abstract"), ("WATCHDOG_USEC", "60"), ("WATCHDOG_PID", "43")];
        assert_eq!(notifier(&of_another).every(), None, "another process is waited for");
        notifier(&[("NOTIFY_SOCKET", "/nowhere/notify")]).tell("READY=1");
    }
}
