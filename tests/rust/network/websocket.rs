//! MQTT inside a websocket.

use std::time::{Duration, Instant};

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::mqttbytes::v4::Packet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use super::servers::{MOMENT, WsBroker, answering, connect, silent, websocket};
use super::support::{App, publish};

fn reason(options: flask_mqtt_core::core::options::ConnectOptions) -> String {
    let error = App::new().connect(options).unwrap_err();
    assert!(matches!(error, Error::Websocket { .. }), "{error:?}");
    error.to_string()
}

fn refused_with(answer: &'static str) -> String {
    let (server, port) = answering(answer);
    let mut options = websocket(port);
    options.key_prefix = Some("MQTT".to_owned());
    let text = reason(options);
    server.join().unwrap();
    let (address, reason) = text.split_once(": ").unwrap();
    assert_eq!(address, format!("no websocket at 127.0.0.1:{port}"));
    reason.to_owned()
}

#[test]
fn packets_go_both_ways() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    app.client.publish("t", b"out", Qos::AtMostOnce, false, None).unwrap();
    assert!(
        matches!(connection.read(), Some(Packet::Publish(message)) if message.payload == "out")
    );
    connection.send(&publish(b"in"));
    assert_eq!(app.messages(1), [b"in"]);
    app.disconnect();
    assert_eq!(connection.read(), Some(Packet::Disconnect));
    assert_eq!(connection.read(), None);
}

#[test]
fn what_is_published_goes_out_at_once_though_nothing_follows() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    for _ in 0..5 {
        let start = Instant::now();
        app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
        assert!(matches!(connection.read(), Some(Packet::Publish(_))));
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn megabytes_go_out_complete_while_others_come_in() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    let payload = vec![7; 3_000_000];
    for _ in 0..3 {
        app.client.publish("t", &payload, Qos::AtMostOnce, false, None).unwrap();
        connection.send(&publish(&payload));
    }
    for _ in 0..3 {
        assert!(
            matches!(connection.read(), Some(Packet::Publish(message)) if message.payload == payload)
        );
    }
    assert!(app.messages(3).iter().all(|message| *message == payload));
}

#[test]
fn the_request_asks_for_mqtt_at_the_path_with_host_and_origin() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut options = broker.options();
    let port = options.broker().port;
    options.brokers[0].path = "/some/path?x=1".to_owned();
    let connection = broker.accept(&app, options);
    assert_eq!(connection.request.uri(), "/some/path?x=1");
    assert_eq!(connection.header("sec-websocket-protocol"), "mqtt");
    assert_eq!(connection.header("host"), format!("127.0.0.1:{port}"));
    assert_eq!(connection.header("origin"), format!("http://127.0.0.1:{port}"));
}

#[test]
fn a_server_that_speaks_another_subprotocol_or_none_is_refused() {
    for subprotocol in [Some("chat"), None] {
        let (broker, app) = (WsBroker::new(), App::new());
        let (result, _) = connect(&app, broker.options(), || broker.shake_hands(subprotocol));
        let text = result.unwrap_err().to_string();
        assert!(
            text.ends_with(
                "the server does not speak the subprotocol mqtt; look at ws_path and the port"
            ),
            "{text}"
        );
    }
}

#[test]
fn packets_may_be_split_over_messages_and_frames_and_share_them() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    let bytes = [publish(b"one"), publish(b"two"), publish(b"three")].concat();
    connection.send(&bytes[..4]);
    let frame = |part: &[u8], code, last| {
        Message::Frame(Frame::message(part.to_vec(), OpCode::Data(code), last))
    };
    connection.socket.send(frame(&bytes[4..9], Data::Binary, false)).unwrap();
    connection.socket.send(Message::Ping("between".into())).unwrap();
    connection.socket.send(frame(&[], Data::Continue, false)).unwrap();
    connection.socket.send(frame(&bytes[9..], Data::Continue, true)).unwrap();
    connection.socket.send(Message::binary(vec![])).unwrap();
    assert_eq!(app.messages(3), [&b"one"[..], b"two", b"three"]);
}

#[test]
fn a_ping_is_answered_though_there_is_nothing_to_write() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    connection.socket.send(Message::Ping("hello".into())).unwrap();
    assert_eq!(connection.socket.read().unwrap(), Message::Pong("hello".into()));
}

#[test]
fn a_text_message_is_a_protocol_error() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    connection.socket.send(Message::text("hello")).unwrap();
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 2);
    assert!(notice.contains("a text message on the websocket"), "{notice}");
}

#[test]
fn a_frame_over_the_limit_is_a_protocol_error_as_soon_as_its_length_is_known() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut options = broker.options();
    options.limits.packet_size = 1000;
    let mut connection = broker.accept(&app, options);
    let head = [0x82, 127, 0, 0, 0, 0, 0x10, 0, 0, 0];
    std::io::Write::write_all(connection.socket.get_mut(), &head).unwrap();
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 2);
    let text = "websocket message of 268435456 bytes is over the limit of 16777216 bytes";
    assert!(notice.contains(text), "{notice}");
}

#[test]
fn a_close_is_answered_and_its_reason_told() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    let frame = CloseFrame { code: CloseCode::Policy, reason: "not you".into() };
    connection.socket.close(Some(frame)).unwrap();
    assert!(matches!(connection.socket.read(), Ok(Message::Close(_))));
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 7);
    assert!(notice.contains("the broker closed the websocket: 1008 not you"), "{notice}");
}

#[test]
fn a_normal_close_and_an_end_without_one_are_a_closed_connection() {
    for say_so in [true, false] {
        let (broker, app) = (WsBroker::new(), App::new());
        let mut connection = broker.accept(&app, broker.options());
        if say_so {
            connection.socket.close(None).unwrap();
        }
        drop(connection);
        let (code, notice) = app.wait_lost();
        assert_eq!(code, 7);
        assert!(notice.starts_with("connection closed by the broker"), "{notice}");
    }
}

#[test]
fn an_http_status_says_which_key_to_look_at() {
    let cases = [
        ("404 Not Found", "the server answered 404 Not Found; look at MQTT_WS_PATH"),
        (
            "401 Unauthorized",
            "the server answered 401 Unauthorized; look at MQTT_USERNAME and MQTT_WS_HEADERS",
        ),
        (
            "403 Forbidden",
            "the server answered 403 Forbidden; look at MQTT_USERNAME and MQTT_WS_HEADERS",
        ),
        ("503 Service Unavailable", "the server answered 503 Service Unavailable"),
    ];
    for (status, text) in cases {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(refused_with(answer.leak()), text);
    }
}

#[test]
fn a_redirect_is_not_followed_and_its_target_told_without_secrets() {
    let text = refused_with(
        "HTTP/1.1 301 Moved Permanently\r\nLocation: https://u:secret@other.example/mqtt?token=secret\r\n\r\n",
    );
    assert!(
        text.contains(
            r#"301 Moved Permanently to "https://other.example/mqtt"; redirects are not followed"#
        ),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn an_answer_that_is_not_http_says_so() {
    let text = refused_with("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    assert_eq!(text, "the answer is not of HTTP/1.1; look at the port and MQTT_TRANSPORT");
}

#[test]
fn a_server_that_closes_without_an_answer_is_reported() {
    let text = refused_with("");
    assert_eq!(
        text,
        "the connection was closed before an answer; look at the port, MQTT_TRANSPORT and MQTT_TLS_ENABLED"
    );
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let (server, port) = answering("HTTP/1.1 200 OK\r\nX: ".to_owned() + &"y".repeat(30_000_000));
    let text = reason(websocket(port));
    assert!(
        text.ends_with("the answer to the request is too long, or comes in too many pieces"),
        "{text}"
    );
    server.join().unwrap();
}

#[test]
fn a_server_that_says_nothing_is_named_as_what_timed_out() {
    let (_listener, port) = silent();
    let mut options = websocket(port);
    options.connect_timeout = MOMENT;
    options.handshake_timeout = MOMENT;
    let error = App::new().connect(options).unwrap_err();
    let text =
        format!("no websocket handshake from 127.0.0.1:{port} within 0.3 s (handshake_timeout)");
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_broker_behind_a_websocket_that_says_nothing_is_named_as_what_timed_out() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut options = broker.options();
    options.connect_timeout = MOMENT;
    options.handshake_timeout = MOMENT;
    let (result, _connection) = connect(&app, options, || broker.shake_hands(Some("mqtt")));
    result.unwrap();
    assert!(app.wait_lost().1.contains("no CONNACK"));
}

#[test]
fn the_connection_is_made_again_with_a_new_handshake() {
    let (broker, app) = (WsBroker::new(), App::new());
    drop(broker.accept(&app, broker.options()));
    app.wait_lost();
    let mut connection = broker.shake_hands(Some("mqtt"));
    assert!(matches!(connection.read(), Some(Packet::Connect(_))));
    connection.send(super::support::ACCEPTED);
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
}
