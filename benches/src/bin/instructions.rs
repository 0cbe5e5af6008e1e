//! Runs each operation whose instructions `./scripts/bench instructions` counts, each in a function
//! of its own.
//!
//! The first argument is the version of MQTT (4 or 5), the second one the QoS. Every function first
//! runs once as a warm-up. Callgrind's own options decide whether it collects the instructions of
//! that run; see `benchmarks/instructions.py`.

use exchange::{Exchange, MESSAGES, acknowledgements, messages};
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Receipt;

/// Warm-up rounds: buffers grow and code runs before instructions are counted.
const ROUNDS: u16 = 3;

#[inline(never)]
fn counted_receive(exchange: &mut Exchange, bytes: &[u8]) -> (Vec<Receipt>, usize) {
    exchange.receive(bytes)
}

#[inline(never)]
fn counted_handled(exchange: &mut Exchange, receipts: Vec<Receipt>) -> usize {
    exchange.handled(receipts)
}

#[inline(never)]
fn counted_publish(exchange: &mut Exchange, qos: Qos) -> usize {
    exchange.publish(qos)
}

// Must differ from `counted_receive`, or the compiler would merge both functions.
#[inline(never)]
fn counted_acknowledge(exchange: &mut Exchange, bytes: &[u8]) -> usize {
    exchange.receive(bytes).1
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let protocol = match arguments.next().as_deref() {
        Some("4") => Protocol::V311,
        Some("5") => Protocol::V5,
        other => panic!("the version of MQTT is 4 or 5, not {other:?}"),
    };
    let qos = match arguments.next().as_deref() {
        Some("0") => Qos::AtMostOnce,
        Some("1") => Qos::AtLeastOnce,
        other => panic!("the QoS is 0 or 1, not {other:?}"),
    };
    let mut exchange = Exchange::new(protocol);
    for round in 0..ROUNDS {
        let first = 1 + round * MESSAGES;
        let (receipts, count) = counted_receive(&mut exchange, &messages(protocol, qos, first));
        assert_eq!(count, usize::from(MESSAGES));
        if qos == Qos::AtLeastOnce {
            assert_eq!(receipts.len(), count);
            assert_eq!(counted_handled(&mut exchange, receipts), 4 * count);
        }
        let written = counted_publish(&mut exchange, qos);
        assert!(written > 64 * count);
        if qos == Qos::AtLeastOnce {
            let count = counted_acknowledge(&mut exchange, &acknowledgements(first));
            assert_eq!(count, usize::from(MESSAGES));
        }
    }
}
