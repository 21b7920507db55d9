//! The one thread that writes: lines come through a queue, and nobody waits for it.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use steward_clock::{Clock, Timestamp};

use crate::{
    files::Files,
    line::{Level, Line},
    settings::Settings,
};

/// The most lines that wait to be written; more are dropped, and counted.
pub const MAX_WAITING: usize = 8_192;

/// The most files that are open at once: agents that are silent for a while have theirs closed.
pub const MAX_OPEN_FILES: usize = 64;

/// How often it is looked whether a day is over, and the archive too old, while nobody logs anything.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many lines there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines that were written, by level: trace, debug, info, warn, error.
    pub written: [u64; 5],
    /// Lines that were not: no place in the queue, or the disk would not have them.
    pub dropped: u64,
    /// When the first of those was dropped.
    pub first_dropped: Option<Timestamp>,
    /// When the last was.
    pub last_dropped: Option<Timestamp>,
    /// Lines that wait now.
    pub waiting: u64,
}

/// That no line was dropped yet.
const NEVER: i64 = i64::MIN;

/// Gives a text without the secrets that it holds; none where secrets cannot be read, and then nothing is written.
pub type Hides = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What the layer, the thread and whoever counts share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    queue: Mutex<Option<SyncSender<Line>>>,
    /// Takes what the node holds of secrets out of a text, once it holds any.
    held: OnceLock<Box<Hides>>,
    written: [AtomicU64; 5],
    dropped: AtomicU64,
    first_dropped_ms: AtomicI64,
    last_dropped_ms: AtomicI64,
    waiting: AtomicU64,
}

impl Shared {
    /// Takes a line, if there is room.
    pub(crate) fn hand_in(&self, line: Line) {
        let queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if queue.is_none_or(|queue| queue.try_send(line).is_err()) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.drop_one();
        }
    }

    pub(crate) fn drop_one(&self) {
        let now = self.clock.now().unix_ms();
        self.dropped.fetch_add(1, Ordering::Relaxed);
        let _ = self.first_dropped_ms.compare_exchange(NEVER, now, Ordering::Relaxed, Ordering::Relaxed);
        self.last_dropped_ms.store(now, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, level: Level) {
        self.written[level as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Log lines of a node. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    inbox: Arc<Mutex<Option<Receiver<Line>>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Logs {
    /// Lines may come from here on; they wait until [`Logs::open`].
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let (queue, inbox) = sync_channel(MAX_WAITING);
        let shared = Shared {
            settings,
            clock,
            queue: Mutex::new(Some(queue)),
            held: OnceLock::new(),
            written: Default::default(),
            dropped: AtomicU64::new(0),
            first_dropped_ms: AtomicI64::new(NEVER),
            last_dropped_ms: AtomicI64::new(NEVER),
            waiting: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), inbox: Arc::new(Mutex::new(Some(inbox))), thread: Arc::default() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Writes into this folder from here on. A folder that cannot be made is no reason not to start: lines are counted as dropped.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn open(&self, folder: &Path) -> io::Result<()> {
        let Some(inbox) = self.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() else {
            return Ok(());
        };
        let mut files = Files::new(folder, self.shared.settings.clone());
        let shared = Arc::clone(&self.shared);
        let thread =
            std::thread::Builder::new().name("logs".to_owned()).spawn(move || run(&shared, &inbox, &mut files))?;
        *self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// From here on every line is written without what `hides` takes out of it: the secrets that the node holds, whatever they look
    /// like. Said once.
    pub fn hide(&self, hides: Box<Hides>) {
        let _ = self.shared.held.set(hides);
    }

    /// What is written elsewhere, without the secrets that the node holds; none where it cannot be told which these are.
    pub fn without_secrets(&self, text: &str) -> Option<String> {
        match self.shared.held.get() {
            Some(hides) => hides(text),
            // The node holds none yet.
            None => Some(text.to_owned()),
        }
    }

    /// How many lines there were.
    pub fn counts(&self) -> Counts {
        let shared = &self.shared;
        let moment =
            |ms: &AtomicI64| Some(ms.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER).map(Timestamp::from_unix_ms);
        Counts {
            written: std::array::from_fn(|level| shared.written[level].load(Ordering::Relaxed)),
            dropped: shared.dropped.load(Ordering::Relaxed),
            first_dropped: moment(&shared.first_dropped_ms),
            last_dropped: moment(&shared.last_dropped_ms),
            waiting: shared.waiting.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, and takes no more.
    pub fn close(&self) {
        self.shared.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // One that panicked has said so; there is nothing left to write.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, inbox: &Receiver<Line>, files: &mut Files) {
    files.tidy(shared.clock.now());
    loop {
        match inbox.recv_timeout(LOOK_EVERY) {
            Ok(line) => write(shared, files, line),
            Err(RecvTimeoutError::Timeout) => files.tidy(shared.clock.now()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn write(shared: &Shared, files: &mut Files, line: Line) {
    shared.waiting.fetch_sub(1, Ordering::Relaxed);
    let hidden = match shared.held.get() {
        Some(hides) => hidden(line, hides),
        None => Some(line),
    };
    match hidden {
        Some(line) if files.write(&line, shared.clock.now()).is_ok() => shared.wrote(line.level),
        _ => shared.drop_one(),
    }
}

/// A line without the secrets that the node holds; none where it cannot be told which these are.
fn hidden(mut line: Line, hides: &Hides) -> Option<Line> {
    line.message = hides(&line.message)?;
    for value in line.fields.values_mut() {
        if let serde_json::Value::String(text) = value {
            *text = hides(text)?;
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
    };

    use steward_clock::{Clock, Timestamp};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{Logs, MAX_WAITING};
    use crate::{Line, Settings, Which, analyze, tail};

    /// 2026-11-20T09:00:00Z.
    const START_MS: i64 = 1_795_165_200_000;

    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_ms(self.0.load(Ordering::Relaxed))
        }
    }

    fn hand() -> Arc<Hand> {
        Arc::new(Hand(AtomicI64::new(START_MS)))
    }

    fn lines(path: &std::path::Path) -> Vec<Line> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn events_go_to_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::parse("info", &["logs=debug".to_owned()], 1 << 20, 30, 1 << 20).unwrap();
        let logs = Logs::new(settings, hand());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
            tracing::info!(n = 3, "before the folder was there");
            logs.open(&folder.path().join("logs")).unwrap();
            tracing::debug!("this crate's own component is `logs`");
            tracing::trace!("too little");
            tracing::info!(target: "steward_app_flows::runs", { agent.name = "scribe.acme.internal", text = "hello" }, "an agent wrote");
            tracing::error!(target: "steward_api", { agent.name = "scribe.acme.internal", password = "open sesame" }, "failed with stw_01kahw5v8nq4z0m7c2r9t3xbyd");
            tracing::debug!(target: "steward_store::writer", "too little for the store");
            tracing::error!(target: "steward_store::writer", { agent.name = "../../etc/passwd" }, "no name of an agent");
        });
        logs.close();
        let at = |name: &str| lines(&folder.path().join("logs").join(name));
        let main = at("main.log");
        let said: Vec<&str> = main.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(
            said,
            ["before the folder was there", "this crate's own component is `logs`", "no name of an agent"]
        );
        assert_eq!((main[0].fields["n"].as_u64(), main[0].time.as_str()), (Some(3), "2026-11-20T09:00:00.000Z"));
        let agents = at("agents/scribe.acme.internal.log");
        assert_eq!(agents.len(), 2);
        assert_eq!((agents[0].component.as_str(), agents[0].fields["text"].as_str()), ("flows", Some("hello")));
        assert_eq!(
            (agents[1].message.as_str(), agents[1].fields["password"].as_str()),
            ("failed with ***", Some("***"))
        );
        assert_eq!(at("errors.log").len(), 2);
        let counts = logs.counts();
        assert_eq!((counts.written, counts.dropped, counts.waiting), ([0, 1, 2, 0, 2], 0, 0));
        let mode = |name: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::metadata(folder.path().join("logs").join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode(""), mode("main.log"), mode("agents")), (0o700, 0o600, 0o700));
    }

    #[test]
    fn what_the_node_holds_stands_in_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(Settings::default(), hand());
        // It looks like nothing that could be a secret.
        logs.hide(Box::new(|text| (!text.contains("unread")).then(|| text.replace("plain words", "***"))));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
            tracing::info!(said = "it is plain words", "a server says plain words");
            tracing::info!("while secrets are unread");
        });
        logs.open(folder.path()).unwrap();
        logs.close();
        let lines = lines(&folder.path().join("main.log"));
        assert_eq!(lines.len(), 1, "what cannot be looked through is not written");
        assert_eq!(
            (lines[0].message.as_str(), lines[0].fields["said"].as_str()),
            ("a server says ***", Some("it is ***"))
        );
        assert_eq!(logs.counts().dropped, 1, "and is counted");
    }

    #[test]
    fn who_logs_never_waits() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(Settings::default(), hand());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
            for n in 0..MAX_WAITING + 10 {
                tracing::info!(n, "one of many");
            }
        });
        assert_eq!((logs.counts().dropped, logs.counts().waiting), (10, MAX_WAITING as u64));
        assert_eq!(logs.counts().first_dropped, Some(Timestamp::from_unix_ms(START_MS)));
        logs.open(folder.path()).unwrap();
        logs.close();
        assert_eq!((logs.counts().written[2], logs.counts().waiting), (MAX_WAITING as u64, 0));
        assert_eq!(lines(&folder.path().join("main.log")).len(), MAX_WAITING);
    }

    #[test]
    fn a_disk_that_will_not_have_it_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder should be: nothing can be made in it, whoever asks.
        let place = folder.path().join("logs");
        fs::write(&place, "in the way").unwrap();
        let clock = hand();
        let logs = Logs::new(Settings::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        logs.open(&place).unwrap();
        let subscriber = Arc::new(tracing_subscriber::registry().with(logs.layer()));
        tracing::subscriber::with_default(Arc::clone(&subscriber), || tracing::warn!("lost"));
        while logs.counts().dropped == 0 {
            std::thread::yield_now();
        }
        fs::remove_file(&place).unwrap();
        tracing::subscriber::with_default(subscriber, || tracing::warn!("kept"));
        logs.close();
        assert_eq!((logs.counts().dropped, logs.counts().written[3]), (1, 1));
        assert_eq!(lines(&place.join("main.log"))[0].message, "kept");
    }

    #[test]
    fn files_are_rotated_by_size_and_day_and_the_archive_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let clock = hand();
        let settings = Settings::parse("info", &[], 64 << 10, 2, 64 << 10).unwrap();
        let logs = Logs::new(settings, Arc::clone(&clock) as Arc<dyn Clock>);
        logs.open(folder.path()).unwrap();
        let subscriber = Arc::new(tracing_subscriber::registry().with(logs.layer()));
        let say = |n: usize| {
            let written = logs.counts().written[2];
            tracing::subscriber::with_default(Arc::clone(&subscriber), || {
                tracing::info!(n, filler = "x".repeat(1_000), "a line");
            });
            while logs.counts().written[2] == written {
                std::thread::yield_now();
            }
        };
        let archived = || {
            let mut names: Vec<String> = fs::read_dir(folder.path().join("archive"))
                .map(|entries| entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
                .unwrap_or_default();
            names.sort();
            names
        };
        for n in 0..100 {
            say(n);
        }
        assert_eq!(archived(), ["main-2026-11-20-001.log.gz"], "64 KiB are about sixty of these lines");
        clock.0.fetch_add(86_400_000, Ordering::Relaxed);
        say(100);
        assert_eq!(archived(), ["main-2026-11-20-001.log.gz", "main-2026-11-20-002.log.gz"], "the day was over");
        assert_eq!(lines(&folder.path().join("main.log")).len(), 1);
        // Nothing was lost, and everything can be read again.
        let all = Which { archive: true, ..Which::default() };
        assert_eq!(analyze(folder.path(), &all).unwrap().lines, 101);
        let tailed: Vec<u64> =
            tail(folder.path(), &all, 1_000).unwrap().iter().map(|line| line.fields["n"].as_u64().unwrap()).collect();
        assert_eq!(tailed, (0..101).collect::<Vec<_>>());
        clock.0.fetch_add(2 * 86_400_000, Ordering::Relaxed);
        say(101);
        assert_eq!(archived(), ["main-2026-11-21-001.log.gz"], "what is older than two days is gone");
        logs.close();
    }
}
