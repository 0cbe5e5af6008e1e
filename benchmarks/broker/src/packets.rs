//! The packets of MQTT 3.1.1 and 5, as far as the benchmarks use them.

/// What packets begin with.
pub mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const PINGREQ: u8 = 12;
    pub const DISCONNECT: u8 = 14;
}

/// The first packet of some bytes, if all of it is there: where its body begins, and its length.
pub fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            let total = at + 1 + length;
            return (bytes.len() >= total).then_some((at + 1, total));
        }
    }
    None
}

/// A CONNECT of MQTT 3.1.1.
pub fn connect() -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
    put_text(&mut body, b"bench-feed");
    packet(kind::CONNECT << 4, &body)
}

/// A PUBLISH, and where its identifier and its payload are.
pub fn publish(topic: &str, payload: &[u8], qos: u8, version: u8) -> (Vec<u8>, usize, usize) {
    let mut body = Vec::with_capacity(payload.len() + topic.len() + 8);
    put_text(&mut body, topic.as_bytes());
    let identifier = body.len();
    if qos > 0 {
        body.extend([0, 0]);
    }
    if version == 5 {
        body.push(0);
    }
    let start = body.len();
    body.extend_from_slice(payload);
    let whole = packet(kind::PUBLISH << 4 | qos << 1, &body);
    let header = whole.len() - body.len();
    (whole, header + identifier, header + start)
}

/// The identifier in a PUBLISH body of QoS 1 or 2, which follows its topic.
pub fn publish_identifier(body: &[u8]) -> Option<[u8; 2]> {
    let at = 2 + usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    Some([*body.get(at)?, *body.get(at + 1)?])
}

/// A packet with a body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut whole = vec![first];
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        whole.push(digit | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    whole.extend_from_slice(body);
    whole
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text);
}
