//! One spelling, and every other refused.

use proptest::prelude::*;
use reqwest::Url;

use super::allow;
use crate::{AllowList, FetchError, MAX_ENTRIES, MAX_ENTRY_BYTES, Target};

#[test]
fn these_are_addresses() {
    for (text, host, port, path) in [
        ("example.org/", "example.org", 443, "/"),
        ("example.org/docs/a", "example.org", 443, "/docs/a"),
        ("example.org/docs/", "example.org", 443, "/docs/"),
        ("example.org:8443/a?b=c&d=/../?", "example.org", 8443, "/a"),
        ("example.org/?", "example.org", 443, "/"),
        ("http://example.org/", "example.org", 80, "/"),
        ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, "/x"),
        ("http://example.org:443/", "example.org", 443, "/"),
        ("[::1]:8080/", "[::1]", 8080, "/"),
        ("[2606:4700::1111]/", "[2606:4700::1111]", 443, "/"),
        ("[::ffff:7f00:1]/", "[::ffff:7f00:1]", 443, "/"),
        ("localhost/", "localhost", 443, "/"),
        ("xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/"),
        ("_dmarc.example.org/", "_dmarc.example.org", 443, "/"),
        ("1.example/", "1.example", 443, "/"),
        ("a--b.example/", "a--b.example", 443, "/"),
        ("example.org/%C3%A4/%20/a%3Ab", "example.org", 443, "/%C3%A4/%20/a%3Ab"),
        ("example.org/.well-known/...", "example.org", 443, "/.well-known/..."),
        ("example.org/a@b:c;d=e,f!$&'()*+~", "example.org", 443, "/a@b:c;d=e,f!$&'()*+~"),
        ("example.org/?q=%2F%5C%25%2E", "", 0, ""),
    ] {
        let parsed = Target::parse(text);
        if host.is_empty() {
            assert!(parsed.is_err(), "{text}: an encoded dot need not be");
            continue;
        }
        let target = parsed.expect(text);
        assert_eq!((target.host(), target.port(), target.path(), target.as_str()), (host, port, path, text));
    }
}

/// Each of them means something to some client, server or resolver.
#[rustfmt::skip]
const CORPUS: &[&str] = &[
    // Not an address at all, or half of one.
    "", "/", "//", "///", "?", "#", ":", "@", "example.org", "example.org?a", "example.org#a", "http://", "http:///",
    "http:example.org/", "http:/example.org/", "http:\\\\example.org\\", "//example.org/", "http:////example.org/",
    // Other schemes, and https spelled out.
    "https://example.org/", "HTTP://example.org/", "Http://example.org/", "ftp://example.org/", "file:///etc/passwd",
    "gopher://example.org/", "data:text/plain,x/", "javascript:alert(1)/", "http+unix://x/",
    "http://http://example.org/", "view-source:http://example.org/", "jar:http://example.org/",
    "dict://127.0.0.1:11211/", "unix:/run/docker.sock",
    // Loopback and metadata, spelled as few would expect.
    "0177.0.0.1/", "0177.0.0.01/", "00000177.0.0.1/", "0x7f.0.0.1/", "0x7f.1/", "0X7F.1/", "0x7f000001/", "0x7F000001/",
    "2130706433/", "017700000001/", "127.1/", "127.0.1/", "127.0.0.1./", "127.0.0.01/", "127.000.000.001/", "0/",
    "0.0/", "0x0/", "0x/", "00/", "1/", "127/", "256.0.0.1/", "127.0.0.256/", "127.0.0.1.1/", "127.0.0./",
    ".127.0.0.1/", "127..1/", "4294967296/", "99999999999/", "-1/", "2852039166/", "0xa9fea9fe/",
    "0251.0376.0251.0376/", "169.254.43518/", "a.0x7f/", "example.1/", "example.0x1/", "1.2.3.4.5/",
    // IPv6, likewise.
    "[::ffff:127.0.0.1]/", "[::127.0.0.1]/", "[0:0:0:0:0:0:0:1]/", "[0000::1]/", "[::0001]/", "[::1%25lo]/",
    "[::1%lo]/", "[fe80::1%25eth0]/", "[::FFFF:7F00:1]/", "[2001:DB8::1]/", "[::]x/", "[::1/", "::1/", "::1]/", "[]/",
    "[:]/", "[v1.x]/", "[127.0.0.1]/", "[example.org]/", "[::1]extra/", "x[::1]/", "[[::1]]/", "[::ffff:0x7f.1]/",
    "[1::1::1]/", "[2001:db8:0:0:1::1]/",
    // Users before the host.
    "user@example.org/", "user:pass@example.org/", "@example.org/", ":@example.org/", "example.org@127.0.0.1/",
    "example.org:80@127.0.0.1/", "http://example.org@127.0.0.1:8080/", "example.org%40127.0.0.1/",
    "example.org&@127.0.0.1/", "a@b@127.0.0.1/",
    // Hosts that end elsewhere.
    "example.org\\.evil.example/", "example.org\\@evil.example/", "example.org%2f.evil.example/", "host%2f../",
    "example.org%00.evil.example/", "example.org%23.evil.example/", "example.org%3f/", "example%2eorg/",
    "%65xample.org/", "example.org;evil.example/", "example.org,evil.example/", "example.org:80:80/", "example.org&x/",
    "example.org'/", "example.org\"/", "<example.org>/", "{example}.org/", "example.org|evil/", "example.org^/",
    "example.org`/", "example.org!/", "*.example.org/", "*/", "ex*mple.org/", "~/", "$HOME/", "example.org=/",
    "example.org+/",
    // Letters that become others.
    "EXAMPLE.org/", "Example.Org/", "example.org./", "example.org../", ".example.org/", "example..org/", "./", "../",
    "-example.org/", "example-.org/", "example.-org/", "b\u{fc}cher.example/", "ex\u{e4}mple.org/",
    "\u{24d4}\u{24e7}ample.org/", "example\u{3002}org/", "example\u{ff0e}org/", "example\u{ff61}org/",
    "127\u{3002}0\u{3002}0\u{3002}1/", "\u{ff11}27.0.0.1/", "127.0.0.\u{b9}/", "exam\u{ad}ple.org/",
    "exam\u{200b}ple.org/", "\u{feff}example.org/", "example.org\u{2044}path/", "example.org\u{ff0f}path/",
    "example.org\u{ff20}evil/", "\u{202e}gro.elpmaxe/", "fa\u{df}.example/", "xn--/", "xn--a/", "xn--example-/",
    "XN--BCHER-KVA.example/", "xn--ls8h=.example/",
    // Ports.
    "example.org:/", "example.org:0/", "example.org:00/", "example.org:443/", "http://example.org:80/",
    "example.org:0443/", "example.org:08443/", "example.org:65536/", "example.org:99999999999/", "example.org:-1/",
    "example.org:+8443/", "example.org:8443x/", "example.org:0x1/", "example.org: 8443/", "[::1]:0/", "[::1]:/",
    "127.0.0.1:0/",
    // White space and control characters.
    " example.org/", "example.org/ ", "example.org /", "example.org/a b", "exam\tple.org/", "exam\nple.org/",
    "example.org/\r\nHost: evil/", "example.org/\0", "example.org/\u{7f}", "example.org/\u{85}", "\texample.org/",
    "example.org/a\tb", "example.org/%0d%0aHost:%20evil", "example.org/%0D%0AHost:%20evil", "example.org/%00",
    "example.org/%7F", "example.org/%09", "example.org/?a=%0D%0A", "example.org/?a=%00",
    // Paths that lead elsewhere.
    "example.org/..", "example.org/.", "example.org/../", "example.org/./", "example.org/a/..", "example.org/a/../b",
    "example.org/a/./b", "example.org/../../etc/passwd", "example.org/%2e", "example.org/%2e%2e/",
    "example.org/%2E%2E/", "example.org/.%2e/", "example.org/%2e./", "example.org/.%2E/a", "example.org/a%2f..%2fb",
    "example.org/a%2Fb", "example.org/a%5cb", "example.org/a%5C..%5Cb", "example.org/a\\b", "example.org/a\\..\\b",
    "example.org/%252e%252e/", "example.org/%252E", "example.org/a%252fb", "example.org/100%25",
    "example.org/..;/admin", "example.org/..;x=y/admin", "example.org/.;/admin", "example.org/..%3B/admin",
    "example.org//admin", "example.org//", "example.org/a//b", "example.org/a//", "example.org///",
    "example.org/%c0%ae%c0%ae/", "example.org/%u002e%u002e/", "example.org/\u{ff0e}\u{ff0e}/",
    // Two spellings of one.
    "example.org/%41", "example.org/%7Ea", "example.org/%61dmin", "example.org/%c3%a4", "example.org/%C3%a4",
    "example.org/%2d", "example.org/?%61", "example.org/?%c3%a4",
    // Half an encoding, and what has to be encoded.
    "example.org/%", "example.org/%4", "example.org/%zz", "example.org/%4g", "example.org/?%", "example.org/?%z",
    "example.org/<a>", "example.org/\"", "example.org/{a}", "example.org/a|b", "example.org/a^b", "example.org/`",
    "example.org/[a]", "example.org/?'", "example.org/?<a>", "example.org/?\"", "example.org/?[a]", "example.org/?a\\b",
    "example.org/?{a}", "example.org/?a|b",
    // Fragments.
    "example.org/#",
    "example.org/#a",
    "example.org/?#",
    "example.org/a#/../b",
];

#[test]
#[rustfmt::skip]
fn these_are_not_and_no_list_covers_them() {
    let wide = allow(&[
        "*.example.org", "example.org", "http://example.org", "127.0.0.1", "http://127.0.0.1", "http://127.0.0.1:8080",
        "[::1]", "[::ffff:7f00:1]", "localhost", "*.evil.example", "0.0.0.0", "169.254.169.254",
        "xn--bcher-kva.example", "example.org:8443", "[2001:db8::1]",
    ]);
    for text in CORPUS {
        let error = Target::parse(text).expect_err(text);
        assert_eq!(error.code(), "URL_REFUSED", "{text:?}");
        assert!(!wide.covers(text), "{text:?}");
        let message = error.to_string();
        assert!(message.is_ascii() || message.contains('\u{2026}'), "{message}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
}

/// What a client that parses as browsers do would have made of some of them: a check of the text alone would have let it.
#[test]
fn without_the_one_spelling_they_would_have_been_these() {
    for (text, host, path) in [
        ("0177.0.0.1/", "127.0.0.1", "/"),
        ("2130706433/", "127.0.0.1", "/"),
        ("0x7f.1/", "127.0.0.1", "/"),
        ("127.1/", "127.0.0.1", "/"),
        ("127.0.0.1./", "127.0.0.1", "/"),
        ("0/", "0.0.0.0", "/"),
        ("127\u{3002}0\u{3002}0\u{3002}1/", "127.0.0.1", "/"),
        ("\u{ff11}27.0.0.1/", "127.0.0.1", "/"),
        ("[::ffff:127.0.0.1]/", "[::ffff:7f00:1]", "/"),
        ("example.org@127.0.0.1/", "127.0.0.1", "/"),
        ("example.org\\@evil.example/", "example.org", "/@evil.example/"),
        ("%65xample.org/", "example.org", "/"),
        ("exam\tple.org/", "example.org", "/"),
        ("exam\u{ad}ple.org/", "example.org", "/"),
        ("EXAMPLE.org/", "example.org", "/"),
        ("///example.org/", "example.org", "/"),
        ("example.org/docs/%2e%2e/admin", "example.org", "/admin"),
        ("example.org/docs\\..\\admin", "example.org", "/admin"),
    ] {
        let read = Url::parse(&format!("https://{text}")).expect(text);
        assert_eq!((read.host_str(), read.path()), (Some(host), path), "{text:?}");
        assert!(matches!(Target::parse(text), Err(FetchError::UrlRefused { .. })), "{text:?}");
    }
}

#[test]
fn the_refusal_says_what_to_write() {
    for (text, says) in [
        ("https://example.org/", "write the address without"),
        ("example.org", "end the host with a slash"),
        ("example.org/#a", "without `#`"),
        ("example.org/\u{e4}", "encode it"),
        ("user@example.org/", "no credentials"),
        ("example.org:443/", "leave it out"),
        ("EXAMPLE.org/", "small letters"),
        ("example.org/%61", "write it plainly"),
        ("example.org/%c3%A4", "capital letters"),
        ("[::ffff:127.0.0.1]/", "as a browser shows it"),
    ] {
        let message = Target::parse(text).expect_err(text).to_string();
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn a_long_address_is_refused() {
    let (most, more) = (4096 - "example.org/".len(), 4097 - "example.org/".len());
    assert!(Target::parse(&format!("example.org/{}", "a".repeat(most))).is_ok());
    assert!(Target::parse(&format!("example.org/{}", "a".repeat(more))).is_err());
    assert!(Target::parse(&format!("{}.org/", "a".repeat(63))).is_ok());
    assert!(Target::parse(&format!("{}.org/", "a".repeat(64))).is_err());
    assert!(Target::parse(&format!("{}b/", "a.".repeat(126))).is_ok());
    assert!(Target::parse(&format!("{}b/", "a.".repeat(127))).is_err());
}

#[test]
fn entries_cover_what_they_say() {
    for (entry, covered, not) in [
        (
            "example.org",
            &["example.org/", "example.org/a/b?c"][..],
            &["a.example.org/", "example.org:8443/", "http://example.org/", "example.orga/"][..],
        ),
        ("example.org/", &["example.org/", "example.org/?a"], &["example.org/a"]),
        (
            "https://example.org/a",
            &["example.org/a", "example.org/a?b"],
            &["example.org/a/", "example.org/ab", "example.org/A"],
        ),
        ("http://example.org", &["http://example.org/"], &["example.org/", "http://example.org:8080/"]),
        (
            "example.org:8443/**",
            &["example.org:8443/", "example.org:8443/a/b"],
            &["example.org/", "http://example.org:8443/"],
        ),
        (
            "*.example.org",
            &["a.example.org/", "a.b.example.org/x"],
            &["example.org/", "aexample.org/", "a.example.org.evil/", "a.example.org:1/"],
        ),
        ("*.example.org:81/x", &["a.example.org:81/x"], &["a.example.org/x", "a.example.org:81/y"]),
        (
            "example.org/docs/**",
            &["example.org/docs", "example.org/docs/", "example.org/docs/a/b"],
            &["example.org/docsa", "example.org/", "example.org/a/docs/"],
        ),
        (
            "example.org/**/a",
            &["example.org/a", "example.org/b/a", "example.org/b/c/a"],
            &["example.org/", "example.org/a/b"],
        ),
        ("example.org/**/a/**/b", &["example.org/a/b", "example.org/a/a/b/b"], &["example.org/b/a", "example.org/a"]),
        (
            "example.org/v*/*.json",
            &["example.org/v1/a.json", "example.org/v/.json"],
            &["example.org/v1/a/b.json", "example.org/v1/a.jsonx", "example.org/1/a.json"],
        ),
        ("example.org/*", &["example.org/", "example.org/a"], &["example.org/a/", "example.org/a/b"]),
        ("127.0.0.1", &["127.0.0.1/"], &["127.0.0.2/", "[::ffff:7f00:1]/", "localhost/"]),
        ("http://[::1]:8080/**", &["http://[::1]:8080/a"], &["[::1]:8080/a", "http://127.0.0.1:8080/a"]),
    ] {
        let list = allow(&[entry]);
        for text in covered {
            assert!(list.covers(text), "{entry} covers {text}");
        }
        for text in not {
            assert!(Target::parse(text).is_ok(), "{text} is an address");
            assert!(!list.covers(text), "{entry} does not cover {text}");
        }
        // Another entry takes nothing away.
        let more = allow(&["other.example", entry]);
        assert!(covered.iter().all(|text| more.covers(text)));
    }
    assert!(!AllowList::default().covers("example.org/"));
}

#[test]
#[rustfmt::skip]
fn all_mistakes_are_told_at_once() {
    let wrong = [
        "", " ", "*", "*.org", "*example.org", "*.*.example.org", "a.*.example.org", "ex*mple.org", "*.127.0.0.1",
        "*.[::1]", "Example.org", "example.org.", "ftp://example.org", "HTTPS://example.org",
        "https://http://example.org", "example.org:443", "http://example.org:80", "example.org:0", "example.org:*",
        "user@example.org", "example.org/a?b", "example.org/#", "example.org/a**", "example.org/**a", "example.org/***",
        "example.org//", "example.org/../a", "example.org/%61", "example.org/a b", "b\u{fc}cher.example",
        "10.0.0.0/8/..", "2130706433", "127.1", "[::1", "https://", "http://", "/a",
    ];
    let mut entries: Vec<String> = wrong.iter().map(|entry| (*entry).to_owned()).collect();
    let long = |bytes: usize| format!("{:a<bytes$}", "example.org/");
    entries.push(long(MAX_ENTRY_BYTES + 1));
    entries.push("example.org".to_owned());
    let mistakes = AllowList::parse(&entries).unwrap_err();
    for (n, entry) in entries.iter().enumerate() {
        let found = mistakes.iter().any(|mistake| mistake.starts_with(&format!("entry {}, ", n + 1)));
        assert_eq!(found, n + 1 != entries.len(), "{entry:?}: {mistakes:#?}");
    }
    assert_eq!(mistakes.len(), entries.len() - 1);
    assert!(AllowList::parse(&[long(MAX_ENTRY_BYTES)]).is_ok());
    assert!(AllowList::parse(&vec!["example.org".to_owned(); MAX_ENTRIES]).is_ok());
    assert_eq!(AllowList::parse(&vec!["example.org".to_owned(); MAX_ENTRIES + 1]).unwrap_err().len(), 1);
}

/// Hostile patterns and addresses cost their product, not more.
#[test]
fn matching_does_not_explode() {
    let entry = format!("example.org/{}b", "**/a*a*a*/".repeat(40));
    let list = allow(&[&entry]);
    assert!(!list.covers(&format!("example.org/{}", "aaaaaaaaa/".repeat(400))));
    let entry = format!("example.org/{}b", "*a".repeat(240));
    assert!(!allow(&[&entry]).covers(&format!("example.org/{}", "a".repeat(4_000))));
}

/// Pieces that parsers disagree about.
#[rustfmt::skip]
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "example.org", "a.", "127.0.0.1", "127", "0x7f", "1", "[::1]", "[", "]", "http://", "https://", "/", "//", "\\",
        "@", ":", ":80", ":443", ":8443", "?", "#", "..", ".", ";", "%2e", "%2F", "%", "%C3%A4", "%00", " ", "\t",
        "\u{3002}", "\u{e4}", "A", "docs", "-", "_", "*", "xn--", "'",
    ]);
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

/// By the definition, and as slow as that.
fn naive(pattern: &[&str], segments: &[&str]) -> bool {
    match (pattern, segments) {
        ([], []) => true,
        (["**", rest @ ..], _) => naive(rest, segments) || !segments.is_empty() && naive(pattern, &segments[1..]),
        ([part, pattern @ ..], [segment, segments @ ..]) => {
            naive_part(part.as_bytes(), segment.as_bytes()) && naive(pattern, segments)
        }
        _ => false,
    }
}

fn naive_part(part: &[u8], segment: &[u8]) -> bool {
    match (part, segment) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => naive_part(rest, segment) || !segment.is_empty() && naive_part(part, &segment[1..]),
        ([a, part @ ..], [b, segment @ ..]) => a == b && naive_part(part, segment),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_covered_that_is_refused_and_nothing_is_read_in_two_ways(text in pieces(), start in prop::sample::select(vec!["", "example.org/", "http://127.0.0.1/"])) {
        let text = format!("{start}{text}");
        let list = allow(&["example.org", "*.example.org", "http://127.0.0.1", "127.0.0.1", "[::1]", "http://example.org", "example.org:8443"]);
        match Target::parse(&text) {
            Err(error) => {
                prop_assert_eq!(error.code(), "URL_REFUSED");
                prop_assert!(!list.covers(&text));
            }
            Ok(target) => {
                // The URL standard reads the same, from the same text.
                let full = if text.starts_with("http://") { text.clone() } else { format!("https://{text}") };
                let read = Url::parse(&full).expect("an address");
                prop_assert_eq!(read.as_str(), &full);
                prop_assert_eq!(read.host_str(), Some(target.host()));
                prop_assert_eq!(read.port_or_known_default(), Some(target.port()));
                prop_assert_eq!(read.path(), target.path());
                prop_assert!(read.username().is_empty() && read.password().is_none() && read.fragment().is_none());
                prop_assert_eq!(target.as_str(), &text);
                // And so does one who splits at the first slash, as patterns of policies do.
                let rest = text.strip_prefix("http://").unwrap_or(&text);
                let authority = rest.split('/').next().unwrap_or_default();
                let with_port = format!("{}:{}", target.host(), target.port());
                prop_assert!(authority == target.host() || authority == with_port);
                if list.covers(&text) {
                    let host = target.host();
                    prop_assert!(["example.org", "127.0.0.1", "[::1]"].contains(&host) || host.ends_with(".example.org"));
                }
            }
        }
    }

    #[test]
    fn paths_fit_as_the_definition_says(pattern in prop::collection::vec("(\\*\\*|[ab*]{1,3})", 1..5), path in "[ab]{1,2}(/[ab]{1,2}){0,4}/?") {
        prop_assume!(pattern.iter().all(|part| part == "**" || !part.contains("**")));
        let list = allow(&[&format!("example.org/{}", pattern.join("/"))]);
        let parts: Vec<&str> = pattern.iter().map(String::as_str).collect();
        let segments: Vec<&str> = path.split('/').collect();
        prop_assert_eq!(list.covers(&format!("example.org/{path}")), naive(&parts, &segments), "{:?} {}", pattern, path);
    }
}
