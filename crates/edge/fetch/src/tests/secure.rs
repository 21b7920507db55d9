//! TLS: who cannot prove who it is, is not asked. The key in `key.pem` is for these tests and stands for nobody.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
};

use reqwest::Certificate;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{Then, allow, ask, converse};
use crate::{FetchError, Fetcher, client::Terms};

const CERTIFICATE: &[u8] = include_bytes!("cert.pem");
const KEY: &[u8] = include_bytes!("key.pem");

/// A server with a certificate for 127.0.0.1 that nobody vouches for.
fn server(versions: &[&'static rustls::SupportedProtocolVersion]) -> (SocketAddr, Receiver<String>) {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let address = listener.local_addr().unwrap();
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            converse(&mut stream, &sender, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Wait);
        }
    });
    (address, asked)
}

fn knowing_it() -> Terms {
    Terms { more_roots: vec![Certificate::from_pem(CERTIFICATE).unwrap()], ..Terms::default() }
}

#[track_caller]
fn is_unproven(error: &FetchError) {
    assert_eq!((error.code(), error.is_unknown()), ("FETCH_FAILED", false), "{error:?}");
    assert!(error.to_string().contains("did not prove"), "{error}: {error:?}");
}

#[tokio::test]
async fn a_host_that_the_system_does_not_vouch_for_is_not_asked() {
    let (address, asked) = server(&[&TLS12, &TLS13]);
    let resource = format!("{address}/?token=hidden");
    let error = ask(&Fetcher::new(allow(&[&address.to_string()])), &resource).await.unwrap_err();
    is_unproven(&error);
    assert_eq!(asked.try_iter().count(), 0);
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    // With its certificate among the roots it is asked: it was the certificate.
    let fetcher = Fetcher::on_terms(allow(&[&address.to_string()]), knowing_it());
    assert_eq!(ask(&fetcher, &resource).await.unwrap().body, b"ok");
    assert_eq!(asked.try_iter().count(), 1);
}

#[tokio::test]
async fn both_versions_are_spoken() {
    for version in [&TLS12, &TLS13] {
        let (address, _asked) = server(&[version]);
        let fetcher = Fetcher::on_terms(allow(&[&address.to_string()]), knowing_it());
        assert_eq!(ask(&fetcher, &format!("{address}/")).await.unwrap().status, 200, "{version:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_proves_nothing() {
    let (address, asked) = server(&[&TLS13]);
    let host = format!("localhost:{}", address.port());
    let fetcher = Fetcher::on_terms(allow(&[&host]), Terms { may: |_| true, ..knowing_it() });
    is_unproven(&ask(&fetcher, &format!("{host}/")).await.unwrap_err());
    assert_eq!(asked.try_iter().count(), 0);
}

#[tokio::test]
async fn what_does_not_speak_tls_is_not_asked_without() {
    let server = super::Server::answering("HTTP/1.1 200 OK\r\n\r\n", Then::Close);
    let host = server.address.to_string();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let speaker = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let error = ask(&Fetcher::new(allow(&[&silent])), &format!("{silent}/")).await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("FETCH_FAILED", false), "{error:?}");
    speaker.join().unwrap();
    // And an entry without `http://` is for TLS only.
    let error = ask(&Fetcher::new(allow(&[&host])), &server.at("/")).await.unwrap_err();
    assert_eq!(error.code(), "HOST_NOT_ALLOWED");
    assert!(server.asked().is_empty());
}
