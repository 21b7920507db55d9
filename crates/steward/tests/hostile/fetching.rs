//! Agents that fetch where they must not: redirects, names of loopback, addresses inside, other ports, the node itself; and all at once.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use crate::house::{House, Terms};

/// The most calls of one agent that are under way at once.
const MAX_CALLS: usize = 32;

/// How long a host that is asked by so many waits for one more.
const ONE_MORE_WITHIN: Duration = Duration::from_millis(500);

/// A host on loopback that remembers what it was asked for.
struct Host {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

/// How many are asking at a time, and whether they are to be answered.
#[derive(Default)]
struct Crowd {
    here: usize,
    most: usize,
    answered: bool,
}

impl Host {
    /// Answers each request with what `answer` makes of its target; nothing hangs up on whoever asks.
    fn begin(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("known").port();
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, is_over, answer) = (Arc::clone(&asked), Arc::clone(&over), Arc::new(answer));
        let serving = thread::spawn(move || {
            for line in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (line, all, answer) = (line.expect("a connection"), Arc::clone(&all), Arc::clone(&answer));
                thread::spawn(move || serve(line, &all, answer.as_ref()));
            }
        });
        Self { port, asked, over, serving: Some(serving) }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn serve(mut line: TcpStream, all: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> String) {
    let mut reader = BufReader::new(line.try_clone().expect("a descriptor"));
    let mut target = String::new();
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|bytes| bytes > 2) {
        if target.is_empty() {
            target = header.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        header.clear();
    }
    all.lock().expect("nobody panics with it").push(target.clone());
    // Whoever asked may be gone.
    let _ = line.write_all(answer(&target).as_bytes());
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn nothing_is_fetched_from_where_it_must_not_be() {
    let inside = Host::begin(|_| ok("secret"));
    let hidden = inside.port;
    let open = Host::begin(move |target| {
        match target {
        "/jump" => format!(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{hidden}/secret\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        "/metadata" => {
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned()
        }
        "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned(),
        _ => ok("open"),
    }
    });
    let port = open.port;
    let house = House::begin(&[
        format!("http://127.0.0.1:{port}/open/**"),
        format!("http://127.0.0.1:{port}/jump"),
        format!("http://127.0.0.1:{port}/metadata"),
        format!("http://127.0.0.1:{port}/cut"),
        // A mistake of the operator's, which leads nowhere.
        format!("http://localhost:{port}/**"),
    ]);
    let node = house.port();
    // The packet allows whatever it likes.
    let scope = [
        "fs.write:/**".to_owned(),
        format!("http.get:http://127.0.0.1:{port}/**"),
        format!("http.get:http://127.0.0.1:{hidden}/**"),
        format!("http.get:http://127.0.0.1:{node}/**"),
        format!("http.get:http://localhost:{port}/**"),
        "http.get:http://10.0.0.1/**".to_owned(),
        "http.get:http://192.168.0.1/**".to_owned(),
        "http.get:http://169.254.169.254/**".to_owned(),
    ];
    let urls = [
        (format!("http://127.0.0.1:{hidden}/secret"), "NOT_PERMITTED"),
        (format!("http://127.0.0.1:{node}/v1/status"), "NOT_PERMITTED"),
        (format!("http://127.0.0.1:{port}/elsewhere"), "NOT_PERMITTED"),
        (format!("http://localhost:{port}/open/a"), "ADDRESS_REFUSED"),
        ("http://10.0.0.1/".to_owned(), "NOT_PERMITTED"),
        ("http://192.168.0.1/".to_owned(), "NOT_PERMITTED"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "NOT_PERMITTED"),
        // Other spellings of it, which are none.
        (format!("http://127.0.0.1:{port}/open/../elsewhere"), "?"),
        (format!("http://127.0.0.1:{port}/open/%2e%2e/elsewhere"), "?"),
        (format!("http://127.1:{port}/open/a"), "?"),
        (format!("http://2130706433:{port}/open/a"), "?"),
        (format!("http://0x7f000001:{port}/open/a"), "?"),
        (format!("http://user@127.0.0.1:{port}/open/a"), "?"),
        (format!("http://127.0.0.1:{port}@127.0.0.1:{hidden}/open/a"), "?"),
        (format!("http://[::ffff:127.0.0.1]:{port}/open/a"), "?"),
        (format!("http://127.0.0.1:{port}#@127.0.0.1:{hidden}/"), "?"),
        (format!("HTTP://127.0.0.1:{port}/open/a"), "?"),
        (format!("http://127.0.0.1:{port}/open/a\r\nHost: other"), "?"),
        (format!("127.0.0.1:{port}/open/a"), "?"),
        ("file:///etc/passwd".to_owned(), "?"),
        ("gopher://127.0.0.1/".to_owned(), "?"),
    ];
    let asked: Vec<&String> = urls.iter().map(|(url, _)| url).collect();
    let script = format!(
        "from asking import *\nnode = Node(); node.plan()\n\
         codes = [node.code('http.get', url=url) for url in json.loads({:?})]\n\
         jumps = [node.ask('http.get', url='http://127.0.0.1:{port}/' + name)['result'] for name in ('jump', 'metadata')]\n\
         cut = node.ask('http.get', url='http://127.0.0.1:{port}/cut')['result']\n\
         twin = node.ask('http.get', url='http://127.0.0.1:{port}/open/a/b')['result']\n\
         node.done({{'codes': codes, 'jumps': jumps, 'cut': cut, 'twin': twin}})\n",
        json!(asked).to_string()
    );
    house.hire("fetcher", "T2", &script);
    let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
    let ended = house.run("fetcher", &Terms::scope(&scope));
    ended.is("completed", "COMPLETED");
    let found = house.found("fetcher");
    for ((url, expected), code) in urls.iter().zip(found["codes"].as_array().expect("codes")) {
        let code = code.as_str().expect("a code");
        let malformed = ["URL_REFUSED", "OUT_OF_SCOPE", "MALFORMED_ACTION", "NOT_PERMITTED"];
        assert!(
            code == *expected || *expected == "?" && malformed.contains(&code),
            "{url:?}: {code}, and not {expected}"
        );
    }
    assert_eq!(inside.asked(), [""; 0], "{found:#}");
    let jump = &found["jumps"][0];
    assert_eq!(
        (jump["http_status"].as_u64(), jump["location"].as_str()),
        (Some(302), Some(format!("http://127.0.0.1:{hidden}/secret").as_str()))
    );
    assert_eq!(found["jumps"][1]["http_status"], 307);
    assert_eq!(
        (found["cut"]["status"].as_str(), found["cut"]["error"]["code"].as_str()),
        (Some("unknown"), Some("OUTCOME_UNKNOWN"))
    );
    assert_eq!(found["twin"]["body"], "open", "{found:#}");
    let mut asked = open.asked();
    asked.sort();
    assert_eq!(asked, ["/cut", "/jump", "/metadata", "/open/a/b"], "nothing else was asked for");
    // Of the one that was cut off nobody knows; a person says.
    let unknown = house.json(&["effect", "list", "--unknown"]);
    let id = unknown["effects"][0]["id"].as_str().expect("one").to_owned();
    house.does(&["effect", "resolve", &id, "--happened", "--reason", "the host says so"]);
    assert_eq!(house.json(&["node", "status"])["effects_unknown"], 0);
    // What it was refused is on record: each kind of it once, then it is counted.
    let refused = house.json(&["action", "list", "--agent", "fetcher", "--decision", "deny"]).to_string();
    assert!(
        refused.contains(&urls[0].0) && refused.contains("NOT_PERMITTED") && refused.contains("OUT_OF_SCOPE"),
        "{refused}"
    );
    // The node was not asked by itself.
    assert_eq!(house.json(&["node", "status"])["unauthenticated"], 0);
    house.close();
}

#[test]
fn no_more_than_so_many_calls_are_under_way() {
    let crowd = Arc::new((Mutex::new(Crowd::default()), Condvar::new()));
    let counted = Arc::clone(&crowd);
    let host = Host::begin(move |_| {
        let (crowd, changed) = &*counted;
        let mut now = crowd.lock().expect("nobody panics with it");
        now.here += 1;
        now.most = now.most.max(now.here);
        changed.notify_all();
        // Whoever completes the crowd waits whether one more comes; then all are answered.
        while !now.answered {
            let (next, waited) = changed.wait_timeout(now, ONE_MORE_WITHIN).expect("nobody panics with it");
            now = next;
            if now.here >= MAX_CALLS && waited.timed_out() {
                now.answered = true;
                changed.notify_all();
            }
        }
        now.here -= 1;
        drop(now);
        ok("")
    });
    let house = House::begin(&[format!("http://127.0.0.1:{}/**", host.port)]);
    let script = format!(
        "from asking import *\nnode = Node(); node.plan()\n\
         for n in range(48): node.send('http.get', url='http://127.0.0.1:{}/%d' % n)\n\
         node.done([code(node.hear()) for n in range(48)])\n",
        host.port
    );
    house.hire("crowd", "T2", &script);
    let url = format!("http.get:http://127.0.0.1:{}/**", host.port);
    house.run("crowd", &Terms::scope(&["fs.write:/**", &url])).is("completed", "COMPLETED");
    assert_eq!(house.found("crowd"), Value::from(vec!["OK"; 48]));
    assert_eq!(crowd.0.lock().expect("nobody panics with it").most, MAX_CALLS);
    assert_eq!(host.asked().len(), 48);
    house.close();
}
