//! Paths that lead elsewhere: `..`, links, hard links, devices, folders that change under the hand of the node.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use crate::house::{House, Terms};

#[test]
fn a_path_leads_nowhere_but_into_the_agent_s_own_folder() {
    let house = House::begin(&[]);
    house.hire("victim", "T2", "");
    let (own, other) = (house.files("prober"), house.files("victim"));
    let outside = house.place.path("outside");
    fs::create_dir_all(&own).expect("a folder");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file"), "outside").expect("a file");
    fs::write(other.join("private"), "the victim's own").expect("a file");
    fs::write(own.join("own"), "mine").expect("a file");
    fs::create_dir(own.join("folder")).expect("a folder");
    symlink(outside.join("file"), own.join("file-link")).expect("a link");
    symlink(&outside, own.join("folder-link")).expect("a link");
    symlink("../../victim/files/private", own.join("sideways")).expect("a link");
    symlink("own", own.join("inner-link")).expect("a link");
    symlink("/proc/self/environ", own.join("environ")).expect("a link");
    symlink("/proc/self/fd/0", own.join("magic")).expect("a link");
    symlink(own.join("loop"), own.join("loop")).expect("a link");
    symlink("/nowhere/new", own.join("dangling")).expect("a link");
    fs::hard_link(other.join("private"), own.join("hard")).expect("a link");
    rustix::fs::mknodat(CWD, own.join("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("a fifo");
    let paths = json!([
        "/../victim/files/private",
        "/folder/../../../victim/files/private",
        "/..",
        "/.",
        "/./own",
        "//own",
        "/own/",
        "own",
        "",
        "/",
        "../own",
        "/file-link",
        "/folder-link/file",
        "/folder-link/new",
        "/sideways",
        "/inner-link",
        "/environ",
        "/magic",
        "/loop",
        "/dangling",
        "/hard",
        "/fifo",
        "/folder",
        "/own/below",
        "/nul\u{0}",
        "/line\n",
        format!("/{}", "x".repeat(300)),
        "/a/".repeat(200) + "b",
        "/etc/passwd/",
        "/%2e%2e/%2e%2e/",
        "\u{ff0f}etc",
    ]);
    let script = format!(
        "from asking import *\nnode = Node(); node.plan()\n\
         found = {{'done': [], 'codes': {{}}}}\n\
         for path in json.loads({:?}):\n    \
             for tool, more in (('fs.read', {{}}), ('fs.write', {{'content': 'overwritten'}})):\n        \
                 code = node.code(tool, path=path, **more)\n        \
                 found['codes'][tool + ' ' + path[:40]] = code\n        \
                 if code == 'OK': found['done'].append(tool + ' ' + path)\n\
         found['twin'] = [node.code('fs.write', path='/folder/a/b/new', content='x'), node.ask('fs.read', path='/own')['result']['content']]\n\
         node.done(found)\n",
        paths.to_string()
    );
    house.hire("prober", "T2", &script);
    house.run("prober", &Terms::default()).is("completed", "COMPLETED");
    let found = house.found("prober");
    assert_eq!(found["done"], json!([]), "{found:#}");
    assert_eq!(found["twin"], json!(["OK", "mine"]), "{found:#}");
    for (what, code) in found["codes"].as_object().expect("codes") {
        let code = code.as_str().expect("a code");
        let known = ["PATH_REFUSED", "TARGET_NOT_A_FILE", "FILE_NOT_FOUND", "MALFORMED_ACTION", "OUT_OF_SCOPE"];
        assert!(known.contains(&code), "{what:?}: {code}");
    }
    assert_eq!(fs::read_to_string(outside.join("file")).expect("there"), "outside");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 1, "nothing was made there");
    assert_eq!(fs::read_to_string(other.join("private")).expect("there"), "the victim's own");
    assert_eq!(fs::read_to_string(own.join("own")).expect("there"), "mine");
    assert!(fs::symlink_metadata(own.join("file-link")).expect("there").is_symlink(), "what stood there stands there");
    // What was tried is on record, with what became of it.
    let effects = house.json(&["effect", "list"]);
    let of = |path: &str| {
        let list = effects["effects"].as_array().expect("a list");
        let effect = list.iter().find(|effect| effect["resource"] == path);
        effect.map_or(Value::Null, |effect| json!([effect["status"], effect["error_code"]]))
    };
    for path in ["/file-link", "/hard", "/fifo", "/folder-link/new", "/sideways"] {
        assert_eq!(of(path)[0], "failed", "{path}: {effects:#}");
        assert!(
            ["PATH_REFUSED", "TARGET_NOT_A_FILE"].contains(&of(path)[1].as_str().unwrap_or("?")),
            "{path}: {}",
            of(path)
        );
    }
    house.close();
}

/// Ends what goes on beside, also when a test fails.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_folder_that_becomes_a_link_meanwhile_is_not_followed() {
    let house = House::begin(&[]);
    let outside = house.place.path("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file"), "outside").expect("a file");
    fs::write(outside.join("decoy"), "outside").expect("a file");
    // Until it has met both often enough: refusals cost errors, of which it has a hundred.
    let script = "from asking import *\nnode = Node(); node.plan(); node.tell('ready')\n\
        found = {'read': {}, 'codes': {}}\n\
        for n in range(4000):\n    \
            path = ('/turning/file', '/flipping')[n // 2 % 2]\n    \
            said = node.ask('fs.read', path=path) if n % 2 else node.ask('fs.write', path=path, content='mine')\n    \
            if code(said) == 'RATE_LIMITED': time.sleep(0.05); continue\n    \
            found['codes'][code(said)] = found['codes'].get(code(said), 0) + 1\n    \
            if n % 2 and said['ok']:\n        \
                text = said['result']['content']\n        \
                found['read'][text] = found['read'].get(text, 0) + 1\n    \
            refused = sum(found['codes'].values()) - found['codes'].get('OK', 0)\n    \
            if refused > 60 and found['codes'].get('OK', 0) > 60: break\n    \
            if refused > 90: break\n\
        node.done(found)\n";
    house.hire("racer", "T2", script);
    let own = house.files("racer");
    fs::create_dir(own.join("turning")).expect("a folder");
    fs::write(own.join("turning/file"), "mine").expect("a file");
    fs::write(own.join("flipping"), "mine").expect("a file");
    symlink(&outside, own.join("other")).expect("a link");
    symlink(outside.join("decoy"), own.join("link")).expect("a link");
    let over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = |a: &str, b: &str| renameat_with(CWD, own.join(a), CWD, own.join(b), RenameFlags::EXCHANGE);
            while !over.load(Ordering::Relaxed) {
                exchange("turning", "other").expect("both are there");
                exchange("flipping", "link").expect("both are there");
                std::thread::yield_now();
            }
        });
        let _until = Until(&over);
        house.run("racer", &Terms::default())
    });
    ended.is("completed", "COMPLETED");
    let found = house.found("racer");
    let read: Vec<&String> = found["read"].as_object().expect("texts").keys().collect();
    assert_eq!(read, ["mine"], "{found:#}");
    let codes = found["codes"].as_object().expect("codes");
    let count = |code: &str| codes.get(code).and_then(Value::as_u64).unwrap_or_default();
    let all: u64 = codes.values().filter_map(Value::as_u64).sum();
    assert!(count("OK") > 5 && all - count("OK") > 5, "it met both: {found:#}");
    for name in ["file", "decoy"] {
        assert_eq!(fs::read_to_string(outside.join(name)).expect("there"), "outside", "{found:#}");
    }
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 2, "nothing was made there");
    house.close();
}
