//! A program of the operator's own, told something: with a clean environment and in a time, and in no sandbox.
//!
//! ```text
//! let command = Plain { argv: vec!["/usr/local/bin/page".into()], event: "review.opened".into(), input, ..Plain::default() };
//! // the action: on the program, with `command.digest()` as its arguments
//! command.run(warrant, &action)?                           // how it ended
//! ```
//!
//! It runs as the node's user and can do what that can: whoever may write the node's configuration may do so anyway. So it is given nothing that
//! it does not need: no variable of the node, no file that is open, and of secrets those that the operator named for it. What it says on standard
//! error is kept for the reason that it failed, and no more of it than a line or two. What it prints is read only where somebody asks for it, since
//! it may be a secret, and is wiped when it is dropped. When its time is over, it and its process group are killed.
//!
//! Deliberately absent: a shell (the operator names one, if it is to be one), and anything that an agent could choose.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use steward_naming::visible;
use steward_permit::{Action, ResourceKind, Warrant};
use steward_seal::{
    Digest,
    secret::{Secret, Secrets},
};
use zeroize::Zeroizing;

use crate::error::EffectError;

/// How long it may take. Whoever is told answers first and works then.
pub const PLAIN_TIMEOUT_MS: u64 = 30_000;

/// The most bytes that it is told: what a pipe takes without anybody reading, so that nobody is waited for.
pub const MAX_PLAIN_INPUT_BYTES: usize = 32 << 10;

/// The most bytes of standard error that are kept.
const MAX_PLAIN_SAID_BYTES: usize = 256;

/// The actions that this module carries out: the node tells, a person tries whether it could, and a secret is made for a lease, or ended.
const TELLS: [&str; 4] = ["hook.deliver", "hook.test", "secret.make", "secret.end"];

/// Where programs are found that it starts itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What this process was given open by whoever started it stays with it: no program that it starts has that. Said once, when a node starts and
/// nothing was started yet.
pub fn pass_on_nothing() {
    close_fds::set_fds_cloexec(3, &[]);
}

/// A program, and what it is told.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    /// The program, by its whole path, and its arguments.
    pub argv: Vec<String>,
    /// What happened: its variable `STEWARD_EVENT`.
    pub event: String,
    /// Its standard input.
    pub input: Vec<u8>,
    /// Its further variables.
    pub env: Vec<(String, Secret)>,
    /// The most bytes of its standard output that are read; 0: nobody reads it.
    pub reads_bytes: usize,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Its time was over.
    TooLong,
}

/// How it ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainEnded {
    /// How.
    pub end: PlainEnd,
    /// The first line of its standard error, as it came: [`PlainEnded::said_without`] is what may be shown of it.
    pub said: String,
    /// Whether there was more than is kept.
    pub said_more: bool,
    /// What it printed, as far as it is read; none: it printed more.
    pub printed: Option<Printed>,
}

/// What a program printed: not shown by Debug, wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Printed(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PlainEnded {
    /// What may be shown of what it said: shortened, printable, and without these secrets, which it may have been given, or read.
    pub fn said_without(&self, known: &Secrets) -> String {
        // A secret at the end of what was cut is not whole, and is not known by itself.
        let begun = if self.said_more { known.begun_at_end(&self.said) } else { 0 };
        visible(&known.scrub(&self.said[..self.said.len() - begun]))
    }
}

impl Plain {
    /// What a permit is bound to: every argument, the event, the input, and the names of its further variables. Not their values: a digest of
    /// a secret stands in no record.
    pub fn digest(&self) -> Digest {
        let names = self.env.iter().map(|(name, _)| name.as_bytes());
        let parts = self.argv.iter().map(String::as_bytes).chain([self.event.as_bytes(), self.input.as_slice()]);
        let parts = parts.chain(names);
        // Lengths keep parts apart.
        let framed = parts.flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat());
        Digest::of(&framed.collect::<Vec<u8>>())
    }

    /// Runs it to its end. Blocks.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly this; or it cannot be started.
    pub fn run(&self, warrant: Warrant, action: &Action) -> Result<PlainEnded, EffectError> {
        self.run_within(warrant, action, Duration::from_millis(PLAIN_TIMEOUT_MS))
    }

    /// The same, in another time than [`PLAIN_TIMEOUT_MS`].
    ///
    /// # Errors
    /// As [`Plain::run`].
    pub fn run_within(&self, warrant: Warrant, action: &Action, most: Duration) -> Result<PlainEnded, EffectError> {
        if *warrant.digest() != action.digest() {
            return Err(EffectError::WarrantMismatch("the warrant is for another action"));
        }
        let resource = action.resource();
        let program = self.argv.first().map(String::as_str).unwrap_or_default();
        let is_ours = TELLS.contains(&action.name().as_str()) && resource.kind() == ResourceKind::Command;
        if !is_ours || resource.id() != program || action.arguments() != Some(&self.digest()) {
            return Err(EffectError::WarrantMismatch("the action is not to run this program"));
        }
        if self.input.len() > MAX_PLAIN_INPUT_BYTES {
            return Err(EffectError::SpecRefused(format!(
                "a program is told at most {MAX_PLAIN_INPUT_BYTES} bytes; tell it less"
            )));
        }
        let (child, says) = self.start(program)?;
        let mut ending = Ending { child, over: false };
        let broken = |source: io::Error| EffectError::Broken { doing: "look after a program that it told", source };
        let (end, says) = watch(&mut ending, says, most).map_err(broken)?;
        let [said, printed] = says;
        let said_more = said.is_more;
        let said = String::from_utf8_lossy(&said.kept);
        let said = said.trim().lines().next().unwrap_or_default().to_owned();
        Ok(PlainEnded { end, said, said_more, printed: (!printed.is_more).then_some(Printed(printed.kept)) })
    }

    fn start(&self, program: &str) -> Result<(Child, [Says; 2]), EffectError> {
        let mut child = Command::new(program)
            .args(&self.argv[1..])
            .env_clear()
            .envs(self.env.iter().map(|(name, secret)| (name, secret.reveal())))
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("STEWARD_EVENT", &self.event)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(if self.reads_bytes == 0 { Stdio::null() } else { Stdio::piped() })
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    EffectError::SpecRefused(format!("`{program}` cannot be started: {source}"))
                }
                _ => EffectError::Broken { doing: "start a program", source },
            })?;
        let mut stdin = child.stdin.take().expect("it is piped");
        // A pipe takes as much at once. One that does not read is not wrong.
        let _ = stdin.write_all(&self.input);
        drop(stdin);
        let said = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let printed = child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        Ok((child, [Says::new(said, MAX_PLAIN_SAID_BYTES), Says::new(printed, self.reads_bytes)]))
    }
}

/// What a program says on one of its two ways out.
struct Says {
    /// None once it says no more.
    from: Option<File>,
    kept: Zeroizing<Vec<u8>>,
    most: usize,
    /// Whether it said more than is kept.
    is_more: bool,
}

impl Says {
    fn new(from: Option<File>, most: usize) -> Self {
        // As large as it gets: nothing of it is left behind where it was moved from.
        Self { from, kept: Zeroizing::new(Vec::with_capacity(most)), most, is_more: false }
    }

    /// Reads what is there; keeps the beginning.
    fn read_some(&mut self) -> io::Result<()> {
        let Some(from) = &mut self.from else { return Ok(()) };
        let mut some = Zeroizing::new([0; 4096]);
        let n = from.read(&mut *some)?;
        let room = self.most - self.kept.len();
        self.is_more |= n > room;
        self.kept.extend_from_slice(&some[..n.min(room)]);
        if n == 0 {
            self.from = None;
        }
        Ok(())
    }
}

/// Kills the whole group if it is dropped before its end.
struct Ending {
    child: Child,
    over: bool,
}

impl Ending {
    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.over {
            let _ = kill_process_group(self.group(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Waits for its end, and reads what it says meanwhile.
fn watch(ending: &mut Ending, mut says: [Says; 2], most: Duration) -> io::Result<(PlainEnd, [Says; 2])> {
    let until = Instant::now() + most;
    let process = pidfd_open(ending.group(), PidfdFlags::empty())?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = kill_process_group(ending.group(), Signal::KILL);
            ending.child.wait()?;
            ending.over = true;
            return Ok((PlainEnd::TooLong, says));
        }
        let left =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        let mut watched = vec![PollFd::new(&process, PollFlags::IN)];
        watched.extend(says.iter().filter_map(|says| says.from.as_ref()).map(|from| PollFd::new(from, PollFlags::IN)));
        match poll(&mut watched, Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let has_ended = !watched[0].revents().is_empty();
        let mut ready = watched[1..].iter().map(|way| !way.revents().is_empty()).collect::<Vec<_>>().into_iter();
        drop(watched);
        let mut is_said = false;
        for way in says.iter_mut().filter(|way| way.from.is_some()) {
            if ready.next() == Some(true) {
                way.read_some()?;
                is_said = true;
            }
        }
        if has_ended && !is_said {
            let status = ending.child.wait()?;
            // Whatever it left behind in its group has had its time.
            let _ = kill_process_group(ending.group(), Signal::KILL);
            ending.over = true;
            let end = match (status.code(), status.signal()) {
                (Some(code), _) => PlainEnd::Exited(code),
                (None, signal) => PlainEnd::Signalled(signal.unwrap_or_default()),
            };
            return Ok((end, says));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use steward_permit::{Action, ResourceKind};

    use steward_seal::secret::{Secret, Secrets};

    use super::{MAX_PLAIN_INPUT_BYTES, MAX_PLAIN_SAID_BYTES, Plain, PlainEnd, PlainEnded, Printed};
    use crate::{
        EffectError,
        tests::{action_on, warrant_for},
    };

    fn shell(script: &str) -> Plain {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Plain {
            argv,
            event: "review.opened".to_owned(),
            input: b"{\"type\":\"review.opened\"}".to_vec(),
            ..Plain::default()
        }
    }

    fn about(name: &str, plain: &Plain) -> Action {
        action_on(name, ResourceKind::Command, &plain.argv[0]).with_arguments(plain.digest())
    }

    fn run(plain: &Plain, most: Duration) -> Result<PlainEnded, EffectError> {
        let action = about("hook.deliver", plain);
        plain.run_within(warrant_for(&action), &action, most)
    }

    /// Time enough.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_told_on_its_standard_input_and_knows_nothing_else() {
        super::pass_on_nothing();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("said");
        let script = format!("{{ cat; echo; env | sort; pwd; ls /proc/self/fd | wc -w; }} > '{}'", file.display());
        let ended = run(&shell(&script), LONG).expect("it ran");
        assert_eq!(
            ended,
            PlainEnded {
                end: PlainEnd::Exited(0),
                said: String::new(),
                said_more: false,
                printed: Some(Printed::default())
            }
        );
        let told = std::fs::read_to_string(&file).expect("it wrote");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "{\"type\":\"review.opened\"}");
        let names: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        // A shell sets some of its own.
        let own: Vec<&str> =
            names.into_iter().filter(|name| !matches!(*name, "PWD" | "_" | "SHLVL" | "OLDPWD")).collect();
        assert_eq!(own, ["LANG", "PATH", "STEWARD_EVENT"], "{told}");
        assert!(lines.contains(&"/") && lines.contains(&"STEWARD_EVENT=review.opened"), "{told}");
        // Standard input, output and error, and the folder that `ls` reads.
        assert_eq!(lines.last().map(|line| line.trim()), Some("4"), "{told}");
    }

    #[test]
    fn how_it_ended_is_told() {
        let failed = run(&shell("echo 'no such\u{7} pager' >&2; exit 3"), LONG).expect("it ran");
        assert_eq!(failed.end, PlainEnd::Exited(3));
        let shown = failed.said_without(&Secrets::default());
        assert!(shown.contains("no such") && !shown.contains('\u{7}'), "{failed:?}");
        assert_eq!(run(&shell("kill -9 $$"), LONG).expect("it ran").end, PlainEnd::Signalled(9));
        let reads_nothing = Plain { input: vec![b'x'; MAX_PLAIN_INPUT_BYTES], ..shell("exec <&-; exit 0") };
        assert_eq!(run(&reads_nothing, LONG).expect("it ran").end, PlainEnd::Exited(0));
    }

    #[test]
    fn what_it_says_is_shown_without_secrets_however_it_is_cut() {
        let secret = "s\u{e9}cret-of-the-node-0123456789";
        let known = Secrets::of([Secret::new(secret)]);
        let ended = run(&shell(&format!("echo 'boom {secret} bang' >&2; exit 3")), LONG).expect("it ran");
        assert_eq!(ended.said_without(&known), "boom [secret] bang");
        for before in 200..MAX_PLAIN_SAID_BYTES {
            let says = shell(&format!("printf '%{before}s{secret} and more' x >&2; exit 3"));
            if before % 8 == 0 {
                let shown = run(&says, LONG).expect("it ran").said_without(&known);
                assert!(!shown.contains("cret-"), "{before}: {shown}");
            }
        }
    }

    #[test]
    fn what_hangs_is_killed_with_all_of_its_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > '{}'; sleep 1000", file.display());
        assert_eq!(run(&shell(&script), Duration::from_millis(500)).expect("it ran").end, PlainEnd::TooLong);
        let pid = std::fs::read_to_string(&file).expect("it wrote");
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // Gone, or dead and not yet buried by whoever adopts it: the signal was sent, and is taken a moment later.
        let is_gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
        let until = std::time::Instant::now() + LONG;
        while !is_gone(&stat()) && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(is_gone(&stat()), "{}", stat());
    }

    #[test]
    fn what_floods_is_read_and_not_kept() {
        let flood = shell("head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1");
        let ended = run(&flood, LONG).expect("it ran");
        assert_eq!(ended.end, PlainEnd::Exited(1));
        assert!(ended.said.starts_with("xxxx") && ended.said.len() <= MAX_PLAIN_SAID_BYTES, "{}", ended.said.len());
        let for_ever =
            run(&shell("while :; do echo xxxxxxxxxxxxxxxx >&2; done"), Duration::from_millis(300)).expect("it ran");
        assert_eq!((for_ever.end, for_ever.said.len() <= MAX_PLAIN_SAID_BYTES), (PlainEnd::TooLong, true));
        // Somebody who left the group holds its standard error: nobody waits for them.
        let left = run(&shell("setsid sleep 2 & exit 0"), LONG).expect("it ran");
        assert_eq!(left.end, PlainEnd::Exited(0));
    }

    fn told_by(said: &str) -> Plain {
        Plain { reads_bytes: 16, ..shell(said) }
    }

    #[test]
    fn what_it_prints_is_read_where_somebody_asks_for_it_and_shown_nowhere() {
        let ended = run(&told_by("echo said >&2; printf 0123456789abcdef; sleep 0; exit 3"), LONG).expect("it ran");
        assert_eq!((&ended.end, ended.said.as_str()), (&PlainEnd::Exited(3), "said"));
        assert_eq!(ended.printed.as_ref().map(|printed| printed.0.as_slice()), Some(&b"0123456789abcdef"[..]));
        assert!(!format!("{ended:?}").contains("0123456789"), "{ended:?}");
        let more = run(&told_by("printf 0123456789abcdefX"), LONG).expect("it ran");
        assert_eq!((more.end, more.printed), (PlainEnd::Exited(0), None));
        let flood = run(&told_by("head -c 10000000 /dev/zero"), LONG).expect("it ran");
        assert_eq!((flood.end, flood.printed), (PlainEnd::Exited(0), None));
        let for_ever = run(&told_by("while :; do echo x; done"), Duration::from_millis(300)).expect("it ran");
        assert_eq!((for_ever.end, for_ever.printed), (PlainEnd::TooLong, None));
        let nobody = run(&shell("echo x"), LONG).expect("it ran");
        assert_eq!(nobody.printed, Some(Printed::default()), "it is read where somebody asks for it");
    }

    #[test]
    fn it_is_given_the_secrets_that_were_named_for_it() {
        let env = vec![("PGPASSWORD".to_owned(), Secret::new("hunter2"))];
        let plain = Plain { env, ..told_by("printf %s \"$PGPASSWORD\"") };
        let ended = run(&plain, LONG).expect("it ran");
        assert_eq!(ended.printed.as_ref().map(|printed| printed.0.as_slice()), Some(&b"hunter2"[..]));
        assert!(!format!("{plain:?}").contains("hunter2"));
        // A digest of a secret stands in no record: the name is part of what is permitted, and the value is not.
        let other = Plain { env: vec![("PGPASSWORD".to_owned(), Secret::new("other"))], ..plain.clone() };
        let renamed = Plain { env: vec![("PGPASSWORDS".to_owned(), Secret::new("hunter2"))], ..plain.clone() };
        assert_eq!(plain.digest(), other.digest());
        assert_ne!(plain.digest(), renamed.digest());
    }

    #[test]
    fn without_a_warrant_for_exactly_this_it_is_not_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ran");
        let plain = shell(&format!("touch '{}'", file.display()));
        let other = Plain { input: Vec::new(), ..plain.clone() };
        let elsewhere = Plain { event: "hook.test".to_owned(), ..plain.clone() };
        for (action, permitted) in [
            (about("hook.deliver", &plain), about("hook.deliver", &other)),
            (about("hook.deliver", &other), about("hook.deliver", &other)),
            (about("hook.deliver", &elsewhere), about("hook.deliver", &elsewhere)),
            (about("exec", &plain), about("exec", &plain)),
        ] {
            let refused =
                plain.run_within(warrant_for(&permitted), &action, LONG).expect_err("it is for something else");
            assert!(matches!(refused, EffectError::WarrantMismatch(_)), "{refused:?}");
        }
        let host = action_on("hook.deliver", ResourceKind::Host, "/bin/sh").with_arguments(plain.digest());
        assert!(plain.run_within(warrant_for(&host), &host, LONG).is_err());
        assert!(!file.exists(), "it ran");
        let nobody = Plain { argv: vec!["/nowhere/pager".to_owned()], ..plain };
        assert!(run(&nobody, LONG).expect_err("it is not there").to_string().contains("/nowhere/pager"));
        let too_much = Plain { input: vec![0; MAX_PLAIN_INPUT_BYTES + 1], ..shell("exit 0") };
        assert!(run(&too_much, LONG).is_err());
    }
}
