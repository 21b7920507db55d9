//! A node dies while it erases what is older than it is kept: what is erased is on record, and in no file once the node was up again.

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path, sync::Arc};

use steward_app_entries::Retention;
use steward_app_flows::{Settings, Workers, close, open};
use steward_app_node::{
    Caller,
    home::Home,
    system::{SystemClock, SystemDice},
};
use steward_clock::{Clock, Timestamp};
use steward_permit::ResourceKind;

use crate::common::{NAMESPACE, Place};

/// SIGKILL.
const KILL: i32 = 9;

/// What stands in bodies and nowhere else.
const NEEDLE: &str = "/etc/secret-of-mrs-miller-born-1961";

/// A clock that is a hundred days slow.
#[derive(Debug)]
struct Slow;

impl Clock for Slow {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(SystemClock.now().unix_ms() - 100 * 86_400_000)
    }
}

/// The files below a folder that hold the needle.
fn holding(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).expect("a folder") {
        let path = item.expect("it can be read").path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(NEEDLE.len()).any(|w| w == NEEDLE.as_bytes())) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A home in which something was refused a hundred days ago.
async fn old_home(place: &Place) {
    let settings = Settings {
        home: Home::new(place.home()),
        namespace: NAMESPACE.parse().expect("a namespace"),
        max_store_bytes: None,
        http_allow: Vec::new(),
        issuers: Vec::new(),
        hooks: Vec::new(),
        traces: None,
        generators: Vec::new(),
        retention: Retention::default(),
        model_timeouts: steward_model::Timeouts::default(),
        keeper: Default::default(),
        worker: Workers::Sandboxed("/nowhere".into()),
    };
    settings.home.prepare().expect("a home");
    let opened = open(&settings, Arc::new(Slow), Arc::new(SystemDice)).await.expect("it opens");
    let context = Arc::clone(&opened.context);
    let action = context.action("fs.write", ResourceKind::File, NEEDLE).expect("an action");
    context.permit(&Caller::node(&context.namespace), action, None).await.expect_err("the node writes no files");
    close(&context, &opened.runner).await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_dies_has_erased_whole_entries_and_the_next_start_goes_on() {
    for nth in 1..=2 {
        let place = Place::new();
        old_home(&place).await;
        assert!(!holding(&place.home()).is_empty(), "the search finds it before");
        let mishap = format!("retention.swept:{nth}");
        let with = [("STEWARD_RETENTION_KEEP_DAYS", "action.*=30,node.*=30"), ("STEWARD_MISHAP", mishap.as_str())];
        // It comes up, and dies in its first round.
        let status = match place.try_up(&[], &with) {
            Ok(node) => node.wait(),
            Err(dead) => dead.status,
        };
        assert_eq!(status.signal(), Some(KILL), "{mishap}: {}", place.log());
        let said = place.steward(&["ledger", "verify", "--state"]);
        assert_eq!(said.code, Some(0), "{mishap}: {said:?}");
        assert!(said.out.contains("of them by age"), "{said:?}");
        let node = place.try_up(&[], &with[..1]).expect("it starts");
        node.stop();
        assert_eq!(holding(&place.home()), Vec::<String>::new(), "{mishap}");
        let said = place.steward(&["ledger", "verify", "--state"]);
        assert_eq!(said.code, Some(0), "{mishap}: {said:?}");
        // A copy that is made now does not have it either.
        let copy = place.path("copies/copy.stwb").display().to_string();
        assert_eq!(place.steward(&["backup", "create", "--to", &copy]).code, Some(0));
        assert_eq!(holding(&place.path("copies")), Vec::<String>::new());
    }
}
