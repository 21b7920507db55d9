//! One sandbox, from the spawning of its keeper to its end.
//!
//! ```text
//! let making = running::make(&spawner, command, &plan, parts)?;    // the next thing in it is the program
//! running::start(making)?                                          // lines, on threads of its own
//! running::run(making, input)?                                     // bytes, on the caller's
//! ```
//!
//! Per sandbox: a thread that writes its input, one for each of its outputs, and for a session one that waits.
//!
//! Deliberately absent: asynchronous waiting. A process is a file descriptor and a blocking call each way.

use std::{
    io::{self, IoSliceMut, Read, Write as _},
    mem::MaybeUninit,
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc as blocking,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::AsFd,
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::os::unix::process::ExitStatusExt as _;
use steward_naming::visible;
use tokio::sync::{mpsc, oneshot};

use crate::{
    alive::Place,
    error::EffectError,
    grade::{Grade, LimitsBy},
    group::Group,
    kill::Kill,
    lines::Lines,
    plan::{Heard, MAX_HEARD_BYTES, Plan, framed},
    processes::Stat,
    scratch::Scratch,
    session::{EndedBy, Exit, Killer, LINES_WAITING, Line, MAX_STDERR_TAIL_BYTES, Output, Session},
    spec::Limits,
};

/// How long a sandbox may take to be made: milliseconds, or seconds where hundreds start at once on a slow disk.
const MAKING: Duration = Duration::from_secs(30);

/// How long what was killed may take to be gone: the kernel frees its memory first.
pub(crate) const ENDING: Duration = Duration::from_secs(10);

/// How often a reader looks whether anybody still listens.
const LISTENING: Duration = Duration::from_millis(500);

/// How much is read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// What a sandbox is made with, and holds until its end.
pub(crate) struct Parts {
    pub(crate) grade: Grade,
    pub(crate) limits_by: LimitsBy,
    pub(crate) limits: Limits,
    /// What was to be started, for a message.
    pub(crate) program: String,
    pub(crate) group: Group,
    pub(crate) scratch: Option<Scratch>,
    pub(crate) place: Place,
}

/// A sandbox that is made, and in which the program is about to start.
pub(crate) struct Making {
    parts: Parts,
    keeper: Child,
    kill: Arc<Kill>,
    feed: blocking::Sender<Feed>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    began: Instant,
    /// What it does without.
    pub(crate) without: Vec<String>,
    /// What listens inside, if it has a door.
    door: Option<TcpListener>,
}

impl Making {
    /// What ends it.
    pub(crate) fn killer(&self) -> Killer {
        killer(self.kill.clone())
    }
}

fn killer(kill: Arc<Kill>) -> Killer {
    Killer::new(move || kill.kill(EndedBy::Killed))
}

/// What goes to the standard input after the plan.
enum Feed {
    Bytes(Vec<u8>),
    Lines(mpsc::Receiver<String>),
}

/// Counts output, and kills at the limit.
#[derive(Debug)]
struct Tally {
    written: AtomicU64,
    limit: u64,
    kill: Arc<Kill>,
}

impl Tally {
    /// How many of `count` new bytes are within the limit.
    fn take(&self, count: usize) -> usize {
        let before = self.written.fetch_add(count as u64, Ordering::Relaxed);
        let room = usize::try_from(self.limit.saturating_sub(before)).unwrap_or(usize::MAX);
        if count > room {
            self.kill.kill(EndedBy::Output);
        }
        count.min(room)
    }
}

/// Spawns the keeper, gives it the plan, and waits until the sandbox is made.
pub(crate) fn make(
    spawner: &crate::spawner::Spawner,
    mut command: Command,
    plan: &Plan,
    parts: Parts,
) -> Result<Making, EffectError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| EffectError::SandboxFailed(format!("{what}: {error}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let own = if plan.door {
        match UnixStream::pair() {
            Ok((ours, theirs)) => {
                command.stdin(Stdio::from(OwnedFd::from(theirs)));
                Some(ours)
            }
            Err(error) => {
                parts.group.remove();
                return Err(failed("make a socket", &error));
            }
        }
    } else {
        command.stdin(Stdio::piped());
        None
    };
    let mut keeper = match spawner.spawn(command) {
        Ok(keeper) => keeper,
        Err(error) => {
            parts.group.remove();
            return Err(failed("start the keeper", &error));
        }
    };
    let (stdin, stdout, stderr) = (keeper.stdin.take(), keeper.stdout.take(), keeper.stderr.take());
    let made = (|| {
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(EffectError::SandboxFailed("the keeper has no pipes".to_owned()));
        };
        let mut receives = None;
        let stdin: Box<dyn io::Write + Send> = match (own, stdin) {
            (Some(own), _) => {
                receives = Some(own.try_clone().map_err(|error| failed("keep a socket", &error))?);
                Box::new(own)
            }
            (None, Some(stdin)) => Box::new(stdin),
            (None, None) => return Err(EffectError::SandboxFailed("the keeper has no input".to_owned())),
        };
        let feed = feed(stdin, framed(plan)).map_err(|error| failed("start a thread", &error))?;
        let (pid, without) = match hear(&stdout).map_err(|error| failed("wait for the sandbox", &error))? {
            Heard::Ready { pid, without } => (pid, without),
            Heard::NoSuchProgram => return Err(EffectError::NoSuchProgram(visible(&parts.program))),
            Heard::Failed(what) => return Err(EffectError::SandboxFailed(what)),
        };
        let keeper_id = i32::try_from(keeper.id()).unwrap_or(0);
        let open = |pid: i32| pidfd_open(Pid::from_raw(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty());
        let kill = Kill {
            grade: parts.grade,
            keeper_id,
            keeper: open(keeper_id).map_err(|errno| failed("watch the keeper", &errno))?,
            // If it has ended already, its id may be another's: then what is left is the keeper, which is ending.
            inner: open(pid)
                .ok()
                .filter(|_| is_child_of(pid, keeper_id))
                .map_or_else(|| open(keeper_id), Ok)
                .map_err(|errno| failed("watch the sandbox", &errno))?,
            group: parts.group.clone(),
            state: Mutex::default(),
        };
        // Sent before the line that was just heard.
        let door = receives.map(|own| received_door(&own)).transpose().map_err(|e| failed("open the door", &e))?;
        Ok((feed, stdout, stderr, without, Arc::new(kill), door))
    })();
    match made {
        Ok((feed, stdout, stderr, without, kill, door)) => {
            parts.place.is_of(kill.clone());
            Ok(Making { parts, keeper, kill, feed, stdout, stderr, began: Instant::now(), without, door })
        }
        Err(error) => {
            let _ = keeper.kill();
            let _ = keeper.wait();
            parts.group.remove();
            Err(error)
        }
    }
}

fn is_child_of(pid: i32, parent: i32) -> bool {
    Stat::at(&Path::new("/proc").join(pid.to_string())).is_ok_and(|stat| stat.parent == parent)
}

/// Starts the thread that writes: the plan, then what it is given. When it ends, the agent's input does.
fn feed(mut stdin: Box<dyn io::Write + Send>, plan: Vec<u8>) -> io::Result<blocking::Sender<Feed>> {
    let (feed, given) = blocking::channel();
    thread::Builder::new().name("sandbox-input".to_owned()).spawn(move || {
        // What cannot be written has no reader any more; how that ended is told elsewhere.
        if stdin.write_all(&plan).is_err() {
            return;
        }
        drop(plan);
        match given.recv() {
            Ok(Feed::Bytes(bytes)) => {
                let _ = stdin.write_all(&bytes);
            }
            Ok(Feed::Lines(mut lines)) => {
                while let Some(line) = lines.blocking_recv() {
                    let mut line = line.replace('\n', " ").into_bytes();
                    line.push(b'\n');
                    if stdin.write_all(&line).is_err() {
                        return;
                    }
                }
            }
            Err(_) => {}
        }
    })?;
    Ok(feed)
}

/// Receives what listens inside, which the init has sent.
fn received_door(own: &UnixStream) -> io::Result<TcpListener> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    recvmsg(own, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    let sent = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    sent.map(TcpListener::from).ok_or_else(|| io::Error::other("the sandbox sent no listener"))
}

/// Reads the line that the stages write before the agent runs, and not a byte more.
fn hear(stdout: &ChildStdout) -> io::Result<Heard> {
    let until = Instant::now() + MAKING;
    let mut line = Vec::new();
    loop {
        if !is_ready(stdout, Some(until))? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        }
        let mut byte = [0];
        match rustix::io::read(stdout, &mut byte) {
            Ok(0) => return Err(io::Error::other("it ended before it was made")),
            Ok(_) if byte == *b"\n" => return Ok(serde_json::from_slice(&line)?),
            Ok(_) if line.len() == MAX_HEARD_BYTES => return Err(io::Error::other("the helper is no `sandbox-init`")),
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits until there is something to read, or an end, or it is too late.
fn is_ready(file: impl AsFd, until: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(&file, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Runs a tool to its end.
pub(crate) fn run(making: Making, input: Vec<u8>) -> Result<Output, EffectError> {
    let Making { parts, keeper, kill, feed, stdout, stderr, began, .. } = making;
    let tally = Arc::new(Tally { written: AtomicU64::new(0), limit: parts.limits.output_bytes, kill: kill.clone() });
    let waiting = Waiting { parts, keeper, kill, tally: tally.clone(), began };
    let readers = collect(stdout, tally.clone()).and_then(|out| Ok((out, collect(stderr, tally.clone())?)));
    let (stdout, stderr) = match readers {
        Ok(readers) => readers,
        Err(error) => return Err(waiting.give_up(&error)),
    };
    // If it cannot be given, the thread has ended, because nothing reads.
    let _ = feed.send(Feed::Bytes(input));
    drop(feed);
    let ended = waiting.until_ended();
    let (stdout, stderr) = (received(&stdout), received(&stderr));
    let truncated = tally.written.load(Ordering::Relaxed) > tally.limit;
    let exit = ended.exit(&tally, tail(&stderr));
    Ok(Output { exit, stdout, stderr, truncated })
}

/// Reads all of it on a thread, and keeps what is within the limit.
fn collect(from: impl Read + Send + 'static, tally: Arc<Tally>) -> io::Result<blocking::Receiver<Vec<u8>>> {
    let (done, end) = blocking::channel();
    thread::Builder::new().name("sandbox-output".to_owned()).spawn(move || {
        let mut kept = Vec::new();
        read_all(from, |bytes| kept.extend_from_slice(&bytes[..tally.take(bytes.len())]));
        let _ = done.send(kept);
    })?;
    Ok(end)
}

/// Starts a session's threads.
pub(crate) fn start(making: Making) -> Result<Session, EffectError> {
    let Making { parts, keeper, kill, feed, stdout, stderr, began, door, .. } = making;
    let tally = Arc::new(Tally { written: AtomicU64::new(0), limit: parts.limits.output_bytes, kill: kill.clone() });
    let waiting = Waiting { parts, keeper, kill: kill.clone(), tally: tally.clone(), began };
    let (to_agent, lines) = mpsc::channel(LINES_WAITING);
    let (said, from_agent) = mpsc::channel(LINES_WAITING);
    let (ended, exit) = oneshot::channel();
    let readers = speak(stdout, tally.clone(), said).and_then(|()| keep_tail(stderr, tally.clone()));
    let stderr = match readers {
        Ok(stderr) => stderr,
        Err(error) => return Err(waiting.give_up(&error)),
    };
    let _ = feed.send(Feed::Lines(lines));
    let (pass, passed) = blocking::channel::<Waiting>();
    let thread = thread::Builder::new().name("sandbox-end".to_owned()).spawn(move || {
        let Ok(waiting) = passed.recv() else { return };
        let end = waiting.until_ended();
        let tail = tail(&received(&stderr));
        // Whoever started it may not want to know.
        let _ = ended.send(end.exit(&tally, tail));
    });
    match thread {
        Ok(_) => pass.send(waiting).map_err(|_| EffectError::SandboxFailed("its thread has ended".to_owned()))?,
        Err(error) => return Err(waiting.give_up(&error)),
    }
    Ok(Session { door, ..Session::from_parts(to_agent, from_agent, killer(kill), exit) })
}

/// Passes lines on, on a thread, until there are none or nobody listens.
fn speak(mut from: ChildStdout, tally: Arc<Tally>, said: mpsc::Sender<Line>) -> io::Result<()> {
    thread::Builder::new().name("sandbox-output".to_owned()).spawn(move || {
        let mut lines = Lines::default();
        let mut chunk = vec![0; CHUNK_BYTES];
        let is_heard = |found: Vec<Line>| found.into_iter().all(|line| said.blocking_send(line).is_ok());
        loop {
            match is_ready(&from, Some(Instant::now() + LISTENING)) {
                Ok(false) if said.is_closed() => break,
                Ok(false) => continue,
                Ok(true) | Err(_) => {}
            }
            match from.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    let within = tally.take(n);
                    if !is_heard(lines.push(&chunk[..within])) {
                        break;
                    }
                }
            }
        }
        if said.is_closed() {
            tally.kill.kill(EndedBy::Killed);
        } else {
            is_heard(lines.end().into_iter().collect());
        }
    })?;
    Ok(())
}

/// Reads all of it on a thread, and keeps the end.
fn keep_tail(from: impl Read + Send + 'static, tally: Arc<Tally>) -> io::Result<blocking::Receiver<Vec<u8>>> {
    let (done, end) = blocking::channel();
    thread::Builder::new().name("sandbox-errors".to_owned()).spawn(move || {
        let mut kept = Vec::new();
        read_all(from, |bytes| {
            kept.extend_from_slice(&bytes[..tally.take(bytes.len())]);
            let surplus = kept.len().saturating_sub(MAX_STDERR_TAIL_BYTES);
            kept.drain(..surplus);
        });
        let _ = done.send(kept);
    })?;
    Ok(end)
}

fn read_all(mut from: impl Read, mut each: impl FnMut(&[u8])) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => each(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// What a reader kept. It ends when nothing can write any more, which is when all has ended: after that it does not take long.
fn received(reader: &blocking::Receiver<Vec<u8>>) -> Vec<u8> {
    reader.recv_timeout(ENDING).unwrap_or_default()
}

/// What waits for the end of a sandbox.
struct Waiting {
    parts: Parts,
    keeper: Child,
    kill: Arc<Kill>,
    tally: Arc<Tally>,
    began: Instant,
}

impl Waiting {
    /// Kills it, because it cannot be listened to.
    fn give_up(self, why: &io::Error) -> EffectError {
        self.kill.kill(EndedBy::Killed);
        self.until_ended();
        EffectError::SandboxFailed(format!("start a thread: {why}"))
    }

    /// Blocks until nothing of it is left.
    fn until_ended(mut self) -> Ended {
        let limit = self.began.checked_add(Duration::from_millis(self.parts.limits.wall_ms));
        // A failure to wait is taken for the limit: it must not run unwatched.
        if !is_ready(&self.kill.keeper, limit).unwrap_or(false) {
            self.kill.kill(EndedBy::WallTime);
            if !is_ready(&self.kill.keeper, Some(Instant::now() + ENDING)).unwrap_or(false) {
                self.kill.kill_keeper();
            }
        }
        let wall = self.began.elapsed();
        // The reason is taken while the keeper's id is still its own.
        let killed = self.kill.close();
        let status = self.keeper.wait().ok();
        let counters = self.parts.group.counters();
        self.parts.group.remove();
        let Parts { grade, limits_by, place, scratch, .. } = self.parts;
        drop((place, scratch));
        drop(self.tally);
        Ended { status, killed, wall, counters, grade, limits_by }
    }
}

/// How a sandbox ended.
struct Ended {
    status: Option<ExitStatus>,
    killed: Option<EndedBy>,
    wall: Duration,
    counters: crate::group::Counters,
    grade: Grade,
    limits_by: LimitsBy,
}

impl Ended {
    fn exit(self, tally: &Tally, stderr_tail: String) -> Exit {
        let signal = self.status.and_then(|status| status.signal());
        let ended_by = match (self.killed, signal) {
            (Some(why), _) => why,
            (None, Some(libc::SIGSYS)) => EndedBy::Seccomp,
            (None, Some(libc::SIGKILL)) if self.counters.oom_kills > 0 => EndedBy::Memory,
            (None, _) => EndedBy::Itself,
        };
        Exit {
            code: self.status.and_then(|status| status.code()),
            signal,
            ended_by,
            wall_ms: u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX),
            cpu_ms: self.counters.cpu_ms,
            peak_memory_bytes: self.counters.peak_memory_bytes,
            oom_kills: self.counters.oom_kills,
            refused_forks: self.counters.refused_forks,
            output_bytes: tally.written.load(Ordering::Relaxed),
            stderr_tail,
            grade: self.grade,
            limits_by: self.limits_by,
        }
    }
}

/// The end of a text that anybody may have written, fit to be shown: letters and digits of any script, ASCII, line breaks; the
/// rest escaped.
fn tail(bytes: &[u8]) -> String {
    let begin = bytes.len().saturating_sub(MAX_STDERR_TAIL_BYTES);
    let mut text = String::new();
    for c in String::from_utf8_lossy(&bytes[begin..]).chars() {
        if c.is_alphanumeric() || c.is_ascii_graphic() || matches!(c, ' ' | '\n' | '\t') {
            text.push(c);
        } else {
            text.extend(c.escape_unicode());
        }
    }
    let surplus = text.len().saturating_sub(MAX_STDERR_TAIL_BYTES);
    let begin = (surplus..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.split_off(begin)
}

#[cfg(test)]
mod tests {
    use super::{MAX_STDERR_TAIL_BYTES, tail};

    #[test]
    fn a_tail_is_fit_to_be_shown() {
        assert_eq!(
            tail("Fehler: größe\n\tat\x1b[31m\u{202e}\0".as_bytes()),
            "Fehler: größe\n\tat\\u{1b}[31m\\u{202e}\\u{0}"
        );
        assert_eq!(tail(b"\xff!"), "\\u{fffd}!");
        for many in ["\0".repeat(9000), "ä".repeat(9000), "x".repeat(9000)] {
            let tail = tail(many.as_bytes());
            assert!(tail.len() <= MAX_STDERR_TAIL_BYTES && tail.len() > MAX_STDERR_TAIL_BYTES - 10);
        }
    }
}
