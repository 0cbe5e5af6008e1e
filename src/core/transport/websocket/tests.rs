//! Decodes frames, cut at every point, and refuses invalid ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Kinds of frames that carry no MQTT: that uses binary messages.
#[derive(Clone, Debug)]
enum Sent {
    Message(Vec<u8>, Vec<usize>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            bytes.push(126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// A message in frames that end at `cuts`, with a ping in between.
fn message(payload: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
    cuts.sort_unstable();
    let (mut bytes, mut begin) = (Vec::new(), 0);
    for end in cuts {
        bytes.extend(frame(if bytes.is_empty() { 2 } else { 0 }, &payload[begin..end]));
        bytes.extend(frame(0x8a, b"between"));
        begin = end;
    }
    bytes.extend(frame(if bytes.is_empty() { 0x82 } else { 0x80 }, &payload[begin..]));
    bytes
}

fn sent() -> impl Strategy<Value = Sent> {
    let small = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        (prop::collection::vec(any::<u8>(), 0..300), prop::collection::vec(any::<usize>(), 0..4))
            .prop_map(|(payload, cuts)| Sent::Message(payload, cuts)),
        (65_000..200_000_usize).prop_map(|size| Sent::Message(vec![7; size], vec![size / 3])),
        small().prop_map(Sent::Ping),
        small().prop_map(Sent::Pong),
    ]
}

/// Sends bytes as a server, in pieces of this size.
async fn send(server: &mut DuplexStream, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        server.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// The frames of a client: first bytes and payloads.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((header, length)) = {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor).unwrap();
        bytes = &bytes[usize::try_from(cursor.position()).unwrap()..];
        parsed
    } {
        let (payload, rest) = bytes.split_at(usize::try_from(length).unwrap());
        bytes = rest;
        let mask = header.mask.expect("what a client sends is masked");
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
        found.push((header.opcode.into(), payload.collect()));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_comes_is_what_was_sent_however_it_is_cut(
        sent in prop::collection::vec(sent(), 1..20),
        size in prop_oneof![1..20_usize, 20..100_000_usize],
        behind in 0..50_usize,
    ) {
        let (mut bytes, mut wanted, mut ping) = (Vec::new(), Vec::<u8>::new(), None);
        for item in &sent {
            match item {
                Sent::Message(payload, cuts) => {
                    bytes.extend(message(payload, cuts));
                    wanted.extend(payload);
                }
                Sent::Ping(payload) => {
                    bytes.extend(frame(0x89, payload));
                    ping = Some(payload.clone());
                }
                Sent::Pong(payload) => bytes.extend(frame(0x8a, payload)),
            }
        }
        // A ping right before the close frame needs no pong.
        bytes.extend(frame(0x82, b"end"));
        wanted.extend(b"end");
        // Byte by byte, if there are few.
        let size = size.max(bytes.len() / 2_000);
        // Some of it arrives with the response to the request.
        let (behind, rest) = bytes.split_at(behind.min(bytes.len()));
        let (received, answers) = run(async {
            let (mut server, client) = duplex(4096);
            let mut socket = Websocket::new(Box::new(client), behind, usize::MAX);
            let mut received = Vec::new();
            let (read, answers) = tokio::join!(
                async {
                    let result = socket.read_to_end(&mut received).await;
                    drop(socket);
                    result
                },
                async {
                    let (mut from, mut to) = tokio::io::split(&mut server);
                    let mut answers = Vec::new();
                    let close = frame(0x88, b"");
                    tokio::join!(
                        async {
                            for piece in [rest, &close].concat().chunks(size) {
                                to.write_all(piece).await.unwrap();
                                tokio::task::yield_now().await;
                            }
                        },
                        async { from.read_to_end(&mut answers).await.unwrap() },
                    );
                    answers
                }
            );
            read.unwrap();
            (received, frames(&answers))
        });
        prop_assert!(received == wanted, "{} bytes instead of {}", received.len(), wanted.len());
        let pongs: Vec<_> = answers.iter().filter(|(code, _)| *code == 10).collect();
        prop_assert_eq!(pongs.last().map(|(_, payload)| payload), ping.as_ref());
        prop_assert_eq!(answers.last().map(|(code, _)| *code), Some(8));
    }
}

#[test]
fn what_is_no_frame_of_a_server_is_a_protocol_error() {
    let cases: [(&[u8], &str); 11] = [
        (&[0xc2, 0], "Reserved bits are non-zero"),
        (&[0x82, 0x80, 0, 0, 0, 0], "masked frame from server"),
        (&[0x09, 0], "Fragmented control frame"),
        (&[0x89, 126, 0, 126], "Control frame too big"),
        (&[0x80, 0], "Continue frame but nothing to continue"),
        (&[0x02, 0, 0x82, 0], "waiting for more fragments"),
        (&[0x01, 0], "a text message on the websocket"),
        (&[0x83, 0], "invalid opcode: 3"),
        (&[0x8b, 0], "invalid opcode: 11"),
        (&[0x88, 1, 3], "Invalid close sequence"),
        (
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 4, 1],
            "websocket message of 1025 bytes is over the limit of 1024 bytes",
        ),
    ];
    for (bytes, text) in cases {
        for size in [1, bytes.len()] {
            let error = run(async {
                let (mut server, client) = duplex(4096);
                let mut socket = Websocket::new(Box::new(client), &[], 1024);
                let mut received = Vec::new();
                let sending = send(&mut server, bytes, size);
                tokio::join!(socket.read_to_end(&mut received), sending).0.unwrap_err()
            });
            assert!(error.to_string().contains(text), "{error} instead of {text}");
        }
    }
}

#[test]
fn a_reason_of_the_server_stays_in_its_line() {
    let reason = [&[0x03, 0xf0], &b"no\r\nCRITICAL \x1b[31m\xff\xc2\x85"[..]].concat();
    let error = closed(&reason).unwrap_err().to_string();
    assert_eq!(
        error,
        "the broker closed the websocket: 1008 no\\r\\nCRITICAL \\u{1b}[31m\u{fffd}\\u{85}"
    );
}

#[test]
fn pings_of_a_server_that_reads_nothing_leave_one_answer_waiting() {
    run(async {
        let (mut server, client) = duplex(1024);
        let mut socket = Websocket::new(Box::new(client), &[], 1024);
        let mut space = [0; 10];
        for number in 0..10_000_u32 {
            let bytes = [frame(0x89, &number.to_be_bytes()), frame(0x82, b"x")].concat();
            server.write_all(&bytes).await.unwrap();
            assert_eq!(socket.read(&mut space).await.unwrap(), 1);
        }
        assert!(socket.output.len() < 200, "{}", socket.output.len());
        // The pongs sent while there was room, and the last one.
        let mut answers = vec![0; 1024];
        server.read_exact(&mut answers).await.unwrap();
        socket.flush().await.unwrap();
        drop(socket);
        server.read_to_end(&mut answers).await.unwrap();
        let last = frames(&answers).pop().unwrap();
        assert_eq!(last, (10, 9_999_u32.to_be_bytes().to_vec()));
    });
}
