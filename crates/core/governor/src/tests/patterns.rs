//! What patterns match, cover and refuse.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::sample::action;
use crate::pattern::Pattern;

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn it_matches_what_it_says() {
    for (text, name, yes, no) in [
        (
            "fs.write:/reports/**",
            "fs.write",
            &["/reports", "/reports/a", "/reports/a/b.md"][..],
            &["/report", "/reports2/a", "/x/reports/a", "reports/a", "/"][..],
        ),
        ("fs.write:/reports/*", "fs.write", &["/reports/a"], &["/reports", "/reports/a/b"]),
        ("fs.write:/r/*.md", "fs.write", &["/r/a.md", "/r/.md", "/r/a.md.md"], &["/r/a.mdx", "/r/a/b.md"]),
        ("fs.read:/**/x/*", "fs.read", &["/x/y", "/a/x/y", "/a/b/x/x/y", "/x/x/x"], &["/x", "/a/x/y/z"]),
        ("fs.read:/**", "fs.read", &["/", "/a", "/a/b"], &["a", ""]),
        ("fs.read:/", "fs.read", &["/"], &["/a"]),
        ("fs.*:/a", "fs.list", &["/a"], &["/b"]),
        ("docs.read:**", "docs.read", &["/a", "a", "/", "a/b"], &["a//b"]),
        ("docs.read:*", "docs.read", &["a"], &["/a", "a/b", "/"]),
        // One meaning only: tricks match nothing, not even what seems to allow all.
        (
            "fs.write:/**",
            "fs.write",
            &["/a"],
            &["/a/../b", "/..", "/a/.", "/./a", "/a//b", "//a", "/a/", "/a\nb", "/a\0"],
        ),
        ("exec:grep", "exec", &["grep"], &["/bin/grep", "grep2", "Grep"]),
        ("exec:*", "exec", &["grep", "/bin/sh", "./run", "../run"], &["a\nb"]),
        (
            "exec:/opt/*/run-*",
            "exec",
            &["/opt/a/run-1", "/opt/a/run-"],
            &["/opt/a/b/run-1", "/opt/../run-1", "/opt//run-1", "/opt/a/run-1/x"],
        ),
        ("exec:./run", "exec", &["./run"], &["run", "././run"]),
        ("shell:*", "shell", &["ls; rm -rf /", "a"], &[]),
        ("shell:git status", "shell", &["git status"], &["git status; ls", "git  status"]),
        (
            "http.get:example.org/a/**",
            "http.get",
            &["example.org/a", "example.org/a/", "example.org/a/b?q=/../x#y", "example.org/%61/b"],
            &[
                "example.org",
                "example.org/A",
                "EXAMPLE.org/a",
                "example.org:443/a",
                "www.example.org/a",
                "example.org./a",
            ],
        ),
        ("http.get:example.org", "http.get", &["example.org", "example.org/", "example.org?x"], &["example.org/a"]),
        (
            "http.get:http://127.0.0.1:8080/**",
            "http.get",
            &["http://127.0.0.1:8080/a"],
            &["127.0.0.1:8080/a", "http://127.0.0.1/a"],
        ),
        (
            "http.get:example.org/**",
            "http.get",
            &["example.org/a"],
            &["http://example.org/a", "http://http://example.org/a"],
        ),
        ("http.get:example.org/a/", "http.get", &["example.org/a/"], &["example.org/a"]),
        ("http.get:example.org/*", "http.get", &["example.org/a"], &["example.org", "example.org/a/"]),
        (
            "http.get:*.example.org/**",
            "http.get",
            &["a.example.org/x", "a.b.example.org"],
            &["example.org/x", "evilexample.org/x", "evil.org?.example.org/x", "u@a.example.org/x", ".example.org/x"],
        ),
        (
            "http.get:*/**",
            "http.get",
            &["a.org/x", "10.0.0.1", "[::1]/x", "a/b%20c", "a/b c", "a/\u{e4}"],
            &[
                "a.org:80/x",
                "a/../b",
                "a/%2e%2E/b",
                "a/x%2f..%2fb",
                "a/x\\..\\b",
                "a/x\\b",
                "a//b",
                "a/%4",
                "a/%",
                "a b/c",
                "\u{e4}.org/x",
                "https://a.org/x",
                "/x",
                "[::01]/x",
                "[::1/x",
            ],
        ),
        (
            "http.get:*:*/**",
            "http.get",
            &["a.org:80/x", "a.org/x", "[::1]:8080"],
            &["a.org:080/x", "a.org:99999", "a:b:1"],
        ),
        ("http.get:a.org:8443/**", "http.get", &["a.org:8443/x"], &["a.org/x", "a.org:443/x"]),
        ("http.get:a/%c3%a4", "http.get", &["a/\u{e4}", "a/%C3%A4", "a/%c3%a4"], &["a/\u{c4}"]),
        ("ssh:db.example.org", "ssh", &["db.example.org"], &["DB.example.org", "root@db.example.org"]),
    ] {
        let pattern = pattern(text);
        let name = action(name);
        yes.iter().for_each(|resource| assert!(pattern.matches(&name, resource), "{pattern} should match {resource}"));
        no.iter().for_each(|resource| assert!(!pattern.matches(&name, resource), "{pattern} matches {resource}"));
    }
}

#[test]
fn actions_are_names_or_all_below_a_noun() {
    let resource = "/a";
    for (text, yes, no) in [
        ("fs.write:/a", &["fs.write", "FS.Write"][..], &["fs.read", "fs", "fs.write.all"][..]),
        ("fs.*:/a", &["fs.write", "fs.x.y"], &["fs", "fsx.write", "docs.read"]),
        ("FS.Write:/a", &["fs.write"], &["fs.read"]),
    ] {
        let pattern = pattern(text);
        yes.iter().for_each(|name| assert!(pattern.matches(&action(name), resource), "{pattern} should match {name}"));
        no.iter().for_each(|name| assert!(!pattern.matches(&action(name), resource), "{pattern} matches {name}"));
    }
}

#[test]
fn a_pattern_has_one_spelling() {
    for (text, written) in [
        ("FS.Write:/A/**", "fs.write:/A/**"),
        ("http.get:a.org/", "http.get:a.org"),
        ("http.get:a.org/%61%c3%a4 b", "http.get:a.org/a%C3%A4%20b"),
        ("http.get:*.a.org:*/**", "http.get:*.a.org:*/**"),
    ] {
        assert_eq!(pattern(text).to_string(), written);
        assert_eq!(pattern(text), pattern(written));
        let json = serde_json::to_string(&pattern(text)).unwrap();
        assert_eq!(serde_json::from_str::<Pattern>(&json).unwrap(), pattern(written));
    }
    assert!(serde_json::from_str::<Pattern>("\"anything\"").is_err());
}

fn refused(texts: &[&str], expected: Expect) {
    let lines: Vec<String> = texts
        .iter()
        .map(|text| match text.parse::<Pattern>() {
            Ok(_) => panic!("{text} was accepted"),
            Err(e) => format!("{}\n", e),
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn free_text_and_what_cannot_be_enforced_is_refused() {
    refused(
        &[
            "",
            "write reports",
            "write: the reports",
            "please write:/reports",
            ":/a",
            "*:/a",
            ".*:/a",
            "1fs:/a",
            "fs.write*:/a",
            "fs.write:",
            "fs.write:a",
            "fs.write:/a/../b",
            "fs.write:/a//b",
            "fs.write:/a/",
            "fs.write:/a**",
            "fs.write:/***",
            "fs.write:/a\tb",
            "docs.read:.",
            "exec:**",
            "exec:/opt/**",
            "shell:ls *",
            "http.get:/a",
            "http.get:Example.org/a",
            "http.get:*example.org/a",
            "http.get:a.*.org",
            "http.get:**",
            "http.get:https://a.org",
            "http.get:a.org/x?y",
            "http.get:a.org/%2a",
            "http.get:a.org/%zz",
            "http.get:a.org/%2e%2e/x",
            "http.get:a.org:0x1/x",
        ],
        expect![[r#"
            `` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`
            `write reports` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`
            `write: the reports` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`
            `please write:/reports` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`
            before the colon: the action: a name is needed, and it is empty
            before the colon: the action: `*` contains U+002A, which is not allowed in a name; write it without
            before the colon: the action: a name is needed, and it is empty
            before the colon: `1fs` is not an action; one is a noun and a verb in plain letters, such as `fs.write`
            before the colon: the action: `fs.write*` contains U+002A, which is not allowed in a name; write it without
            in `fs.write:`, nothing stands after the colon; say what the action may be done to
            in `fs.write:a`, a path begins with `/`; write it from the root of the folder
            in `fs.write:/a/../b`, there are empty, `.` or `..` parts between slashes; write the path without
            in `fs.write:/a//b`, there are empty, `.` or `..` parts between slashes; write the path without
            in `fs.write:/a/`, there are empty, `.` or `..` parts between slashes; write the path without
            in `fs.write:/a**`, `**` stands alone between slashes; write `*` for a part of a segment
            in `fs.write:/***`, `**` stands alone between slashes; write `*` for a part of a segment
            in `fs.write:/a\u{9}b`, there are control characters; write it without
            in `docs.read:.`, there are empty, `.` or `..` parts between slashes; write the path without
            in `exec:**`, a program has no `**`; write `*`
            in `exec:/opt/**`, a program has no `**`; write `*`
            in `shell:ls *`, a part of a shell command promises nothing; write `shell:*` or the whole command
            in `http.get:/a`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
            in `http.get:Example.org/a`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
            in `http.get:*example.org/a`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
            in `http.get:a.*.org`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
            in `http.get:**`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
            in `http.get:https://a.org`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
            in `http.get:a.org/x?y`, a query cannot be limited, only a host and a path; write it without `?` and `#`
            in `http.get:a.org/%2a`, an encoded `*` cannot be told from a plain one; write it without
            in `http.get:a.org/%zz`, the path has a `%` without two digits, or a backslash; write it without
            in `http.get:a.org/%2e%2e/x`, there are empty, `.` or `..` parts between slashes; write the path without
            in `http.get:a.org:0x1/x`, the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant
        "#]],
    );
    let long = format!("fs.write:/{}", "a".repeat(600));
    assert_eq!(long.parse::<Pattern>().unwrap_err().to_string(), "the pattern has 610 bytes; write it in at most 512");
}

#[test]
fn it_covers_what_it_can_see() {
    for (wide, narrow, covers) in [
        ("fs.write:/**", "fs.write:/a", true),
        ("fs.write:/a/**", "fs.write:/a", true),
        ("fs.write:/a/**", "fs.write:/a/*/b/**", true),
        ("fs.write:/a/**", "fs.write:/**", false),
        ("fs.write:/a/*", "fs.write:/a/**", false),
        ("fs.write:/a/*", "fs.write:/a/b*", true),
        ("fs.write:/a/b*", "fs.write:/a/*", false),
        ("fs.write:/a/b*", "fs.write:/a/bc*d", true),
        ("fs.write:/a/*b*", "fs.write:/a/*c*", false),
        ("fs.write:/a/*b*", "fs.write:/a/x*b", true),
        ("fs.*:/a", "fs.write:/a", true),
        ("fs.write:/a", "fs.*:/a", false),
        ("fs.*:/a", "fs.x.*:/a", true),
        ("fs.x.*:/a", "fs.*:/a", false),
        ("fs.write:/a", "fs.read:/a", false),
        ("exec:*", "exec:grep", true),
        ("exec:*", "exec:*", true),
        ("exec:grep", "exec:*", false),
        ("exec:/opt/*", "exec:/opt/a-*", true),
        ("exec:/opt/*", "exec:/opt/..", false),
        ("exec:/opt/*", "exec:/opt/a/b", false),
        ("exec:./a", "exec:./a", true),
        ("shell:*", "shell:ls", true),
        ("shell:ls", "shell:*", false),
        ("exec:*", "shell:ls", false),
        ("http.get:*/**", "http.get:a.org/x", true),
        ("http.get:*/**", "http.get:a.org:80/x", false),
        ("http.get:*:*/**", "http.get:a.org:80/x", true),
        ("http.get:*.a.org/**", "http.get:*.b.a.org/x", true),
        ("http.get:*.b.a.org/**", "http.get:*.a.org/x", false),
        ("http.get:*.a.org/**", "http.get:a.org/x", false),
        ("http.get:*.a.org/**", "http.get:c.a.org/x", true),
        ("http.get:*.a.org/**", "http.get:*/x", false),
        ("http.get:a.org/*", "http.get:a.org", false),
        ("http.get:a.org/x/*", "http.get:a.org/x/", false),
        ("http.get:a.org/**", "http.get:a.org", true),
    ] {
        assert_eq!(pattern(wide).covers(&pattern(narrow)), covers, "{wide} over {narrow}");
    }
}

/// Exponential backtracking would not come back from these.
#[test]
fn hostile_patterns_end() {
    let stars = format!("fs.read:/{}b", "a*".repeat(240));
    assert!(!pattern(&stars).matches(&action("fs.read"), &format!("/{}", "a".repeat(4000))));
    let deep = format!("fs.read:{}/b", "/**/a".repeat(90));
    assert!(!pattern(&deep).matches(&action("fs.read"), &"/a".repeat(2000)));
    let program = format!("exec:{}b", "*a".repeat(240));
    assert!(!pattern(&program).matches(&action("exec"), &"a".repeat(4000)));
    assert!(pattern(&deep).covers(&pattern(&deep)));
    assert!(!pattern(&stars).covers(&pattern(&format!("fs.read:/{}", "a*".repeat(240)))));
}

/// The same rules for paths as a recursion that tries everything.
fn naive(pattern: &[&str], segments: &[&str]) -> bool {
    fn part(p: &[char], s: &[char]) -> bool {
        match p {
            [] => s.is_empty(),
            ['*', rest @ ..] => (0..=s.len()).any(|n| part(rest, &s[n..])),
            [c, rest @ ..] => s.first() == Some(c) && part(rest, &s[1..]),
        }
    }
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    match pattern {
        [] => segments.is_empty(),
        ["**", rest @ ..] => (0..=segments.len()).any(|n| naive(rest, &segments[n..])),
        [first, rest @ ..] => segments.first().is_some_and(|segment| {
            (*first != "*" || !segment.is_empty())
                && part(&chars(first), &chars(segment))
                && naive(rest, &segments[1..])
        }),
    }
}

fn segment_pattern() -> impl Strategy<Value = String> {
    prop_oneof![Just("**".to_owned()), Just("*".to_owned()), "[ab]{1,2}", "[ab]\\*", "\\*[ab]", "[ab]\\*[ab]"]
}

fn path_pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(segment_pattern(), 1..5).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,3}", 1..5).prop_map(|parts| format!("/{}", parts.join("/")))
}

/// A pattern of any family and an action, and what it could be done to.
fn any_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        path_pattern().prop_map(|p| format!("fs.read:{p}")),
        path_pattern().prop_map(|p| format!("fs.*:{p}")),
        path_pattern().prop_map(|p| format!("docs.read:{}", &p[1..])),
        "exec:(\\*|[ab./]{1,4}|/?[ab]\\*(/[ab*]{1,2})?)".prop_filter("no `**`", |p| !p.contains("**")),
        "shell:(\\*|[ab]( ?[ab])?)",
        ("http\\.get:(\\*|\\*\\.a|a|b\\.a)(:\\*|:1)?", path_pattern(), any::<bool>())
            .prop_map(|(host, path, rest)| if rest { host + &path } else { host }),
        ("http\\.\\*:(\\*|a)", "(/[ab*])?(/)?").prop_map(|(host, path)| host + &path),
    ]
}

fn any_resource() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        path().prop_map(|p| ("fs.read", p)),
        path().prop_map(|p| ("docs.read", p[1..].to_owned())),
        "[ab./]{1,5}".prop_map(|p| ("exec", p)),
        "[ab ]{1,3}".prop_map(|p| ("shell", p)),
        ("(a|b|b\\.a|c\\.b\\.a)(:1|:2)?", "(/[ab]{1,2}){0,3}(/)?").prop_map(|(host, path)| ("http.get", host + &path)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn paths_match_as_the_naive_matcher_says(text in path_pattern(), path in path()) {
        let by_us = pattern(&format!("fs.read:{text}")).matches(&action("fs.read"), &path);
        let (parts, segments): (Vec<&str>, Vec<&str>) = (text.split('/').collect(), path.split('/').collect());
        prop_assert_eq!(by_us, naive(&parts, &segments), "{} on {}", text, path);
    }

    #[test]
    fn what_is_covered_is_matched(wide in any_pattern(), narrow in any_pattern(), found in prop::collection::vec(any_resource(), 12)) {
        let (wide, narrow) = (pattern(&wide), pattern(&narrow));
        prop_assert!(wide.covers(&wide));
        if wide.covers(&narrow) {
            for (name, resource) in found {
                let name = action(name);
                let missed = narrow.matches(&name, &resource) && !wide.matches(&name, &resource);
                prop_assert!(!missed, "{} covers {}, but not {}", wide, narrow, resource);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", resource in "\\PC{0,40}") {
        if let Ok(pattern) = text.parse::<Pattern>() {
            pattern.matches(&action("fs.read"), &resource);
        }
        for family in ["fs.read:/", "http.get:", "exec:", "shell:", "docs.read:"] {
            if let Ok(pattern) = format!("{family}{text}").parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string().parse::<Pattern>(), Ok(pattern.clone()));
                for name in ["fs.read", "http.get", "exec", "shell", "docs.read"] {
                    pattern.matches(&action(name), &resource);
                }
            }
        }
    }
}
