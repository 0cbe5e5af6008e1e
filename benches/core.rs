//! Benchmarks of the core: `./scripts/bench core`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use exchange::{Exchange, MESSAGES, acknowledgements, after, messages};
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::topic::Routes;

const CASES: [(Protocol, Qos); 4] = [
    (Protocol::V311, Qos::AtMostOnce),
    (Protocol::V311, Qos::AtLeastOnce),
    (Protocol::V5, Qos::AtMostOnce),
    (Protocol::V5, Qos::AtLeastOnce),
];

fn main() {
    divan::main();
}

/// Incoming messages, up to their delivery to the handlers' thread, and their acknowledgements.
#[divan::bench(args = CASES)]
fn receive(bencher: Bencher, (protocol, qos): (Protocol, Qos)) {
    let mut exchange = Exchange::new(protocol);
    let bytes = messages(protocol, qos, 1);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let (receipts, count) = exchange.receive(black_box(&bytes));
        (count, exchange.handled(receipts))
    });
}

/// Published messages, up to the written bytes, and their acknowledgements.
#[divan::bench(args = CASES)]
fn publish(bencher: Bencher, (protocol, qos): (Protocol, Qos)) {
    let mut exchange = Exchange::new(protocol);
    let mut first = 1;
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let written = exchange.publish(black_box(qos));
        if qos == Qos::AtLeastOnce {
            exchange.receive(&acknowledgements(first));
        }
        first = after(first, MESSAGES);
        written
    });
}

/// Lookups of topics in a tree with this many filters.
#[divan::bench(args = [10, 10_000])]
fn routes(bencher: Bencher, filters: usize) {
    let mut routes = Routes::default();
    for number in 0..filters {
        let form = ["lamp/{}", "door/{}/+", "room/{}/#"][number % 3];
        routes.set(&form.replace("{}", &(number / 3).to_string()), number);
    }
    bencher.counter(ItemsCount::new(3_u8)).bench_local(|| {
        ["lamp/1", "door/2/x", "room/3/x/y"].map(|topic| routes.matches(black_box(topic)).count())
    });
}
