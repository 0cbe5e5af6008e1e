//! The bytes that wait for the transport, and what is said about them.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::super::error::Error;
use super::super::options::ConnectOptions;
use super::super::packet::{
    Control, PublishRef, PythonBytes, connect_flags, encode_connect, encode_publish,
};
use super::super::qos::Qos;
use super::event::{Event, LogLevel};

/// A larger buffer is given back to the system after a burst.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// Encoded packets on their way to the broker.
#[derive(Debug, Default)]
pub struct Output {
    bytes: BytesMut,
    /// Bytes handed over but not reported as written.
    unwritten: usize,
    /// Bytes ever encoded and ever written on this connection: positions of QoS 0 messages.
    encoded: u64,
    written: u64,
    /// Ends of QoS 0 messages, with their identifiers, where the application wants to hear of them.
    marks: VecDeque<(u64, u16)>,
    /// What happened, until the owner of the session takes it.
    pub events: VecDeque<Event>,
    /// Whether somebody listens to `on_log`.
    pub logging: bool,
    /// Whether somebody listens to `on_publish`.
    pub reporting: bool,
}

impl Output {
    /// Adds a line for `on_log`, which is only put together when somebody listens.
    pub fn log(&mut self, text: impl FnOnce() -> String) {
        if self.logging {
            self.events.push_back(Event::Log { level: LogLevel::Debug, text: text() });
        }
    }

    /// Writes a CONNECT.
    pub fn connect(&mut self, options: &ConnectOptions) {
        self.log(|| {
            let flags = connect_flags(options);
            format!(
                "Sending CONNECT (u{}, p{}, wr{}, wq{}, wf{}, c{}, k{}) client_id={}",
                flags >> 7,
                (flags >> 6) & 1,
                (flags >> 5) & 1,
                (flags >> 3) & 3,
                (flags >> 2) & 1,
                (flags >> 1) & 1,
                options.keep_alive,
                PythonBytes(options.client_id.as_bytes()),
            )
        });
        self.encode(|bytes| encode_connect(options, bytes));
    }

    /// Writes a PUBLISH.
    pub fn publish(&mut self, publish: &PublishRef<'_>) {
        self.log(|| {
            let size = match publish.payload.len() {
                0 => " (NULL payload)".to_owned(),
                length => format!(", ... ({length} bytes)"),
            };
            format!(
                "Sending PUBLISH (d{}, q{}, r{}, m{}), '{}'{size}",
                u8::from(publish.dup),
                publish.qos as u8,
                u8::from(publish.retain),
                publish.mid,
                PythonBytes(publish.topic.as_bytes()),
            )
        });
        self.encode(|bytes| encode_publish(publish, bytes));
        if self.reporting && publish.qos == Qos::AtMostOnce {
            self.marks.push_back((self.encoded, publish.mid));
        }
    }

    /// Writes any other packet.
    pub fn control(&mut self, control: &Control) -> Result<(), Error> {
        self.log(|| describe(control));
        self.control_silently(control)
    }

    /// Writes any other packet, and says nothing of it.
    pub fn control_silently(&mut self, control: &Control) -> Result<(), Error> {
        let before = self.bytes.len();
        let mut result = Ok(());
        self.encode(|bytes| {
            result = control.encode(bytes);
            if result.is_err() {
                bytes.truncate(before);
            }
        });
        result
    }

    fn encode(&mut self, encode: impl FnOnce(&mut BytesMut)) {
        let before = self.bytes.len();
        encode(&mut self.bytes);
        self.encoded += (self.bytes.len() - before) as u64;
    }

    /// Hands over what there is to write, in exchange for an empty buffer to go on with.
    pub fn swap(&mut self, empty: &mut BytesMut) {
        empty.clear();
        if empty.capacity() > KEPT_CAPACITY {
            *empty = BytesMut::new();
        }
        std::mem::swap(&mut self.bytes, empty);
        self.unwritten += empty.len();
    }

    /// The transport wrote so many bytes: reports the QoS 0 messages among them.
    pub fn wrote(&mut self, count: usize) {
        self.unwritten = self.unwritten.saturating_sub(count);
        self.written += count as u64;
        while let Some(&(end, mid)) = self.marks.front() {
            if end > self.written {
                break;
            }
            self.marks.pop_front();
            self.events.push_back(Event::Published(mid));
        }
    }

    /// Forgets what was not written: the connection is gone.
    pub fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.unwritten = 0;
        self.encoded = 0;
        self.written = 0;
        self.marks.clear();
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.unwritten
    }

    /// Whether there is something to hand over.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn describe(control: &Control) -> String {
    match control {
        Control::Subscribe { mid, filters } => {
            let list = filters.iter().map(|(filter, qos)| {
                format!("({}, {})", PythonBytes(filter.as_bytes()), *qos as u8)
            });
            format!("Sending SUBSCRIBE (d0, m{mid}) [{}]", join(list))
        }
        Control::Unsubscribe { mid, filters } => {
            let list = filters.iter().map(|filter| PythonBytes(filter.as_bytes()).to_string());
            format!("Sending UNSUBSCRIBE (d0, m{mid}) [{}]", join(list))
        }
        Control::PubAck(mid) => format!("Sending PUBACK (Mid: {mid})"),
        Control::PubRec(mid) => format!("Sending PUBREC (Mid: {mid})"),
        Control::PubRel(mid) => format!("Sending PUBREL (Mid: {mid})"),
        Control::PubComp(mid) => format!("Sending PUBCOMP (Mid: {mid})"),
        Control::PingReq => "Sending PINGREQ".to_owned(),
        Control::Disconnect => "Sending DISCONNECT".to_owned(),
    }
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
