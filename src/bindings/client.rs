//! `_core.Client`: the Python class around the core's client.

use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};

use super::codes::member;
use super::delivery::{Delivery, class_of_infos};
use super::departing;
use super::error::{system, to_python};
use super::events;
use super::keys;
use super::message::{MQTTMessage, Receipt};
use super::once::Once;
use super::options::ConnectOptions;
use super::outcomes::{Attempt, Opening};
use super::properties::from_python;
use super::publishing::{delivery_name, info, payload_bytes, qos_number, topic_text, truth};
use super::stats;
use super::waiter::{Waiter, wait};
use crate::core::client::Client as CoreClient;
use crate::core::delivery::Delivery as CoreDelivery;
use crate::core::error::{Error, ReturnCode};
use crate::core::packet::{SubscribeOptions, Subscription};
use crate::core::property::Place;
use crate::core::qos::Qos;
use crate::core::session::{Receipt as CoreReceipt, Session};

static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// An MQTT client. Only `wait`, and `connect` while it opens a file, may block; every other call
/// does bounded work.
#[pyclass(module = "flask_mqtt._core", frozen, weakref)]
pub struct Client {
    core: CoreClient,
    /// Distinguishes clients.
    number: u64,
    /// The class of the infos that `publish` returns for accepted messages.
    infos: Once<Py<PyType>>,
}

/// A filter with its QoS, no local, retain as published and retain handling.
type Wanted = (String, i64, bool, bool, u8);

/// The result of a request: the return code and the packet identifier.
type Requested<'py> = (Bound<'py, PyAny>, Option<u16>);

#[pymethods]
impl Client {
    #[new]
    fn new() -> Self {
        Self::of(CoreClient::new())
    }

    /// A client for a process that is about to be forked: with the same subscriptions, but no
    /// connection and no messages.
    fn for_child(&self) -> Self {
        Self::of(self.core.for_child())
    }

    /// A client for this process, which was forked before `for_child` was called, and whether the
    /// parent had a connection. Waits for no lock.
    fn in_child(&self) -> (Self, bool) {
        let (core, had_connection) = self.core.in_child();
        (Self::of(core), had_connection)
    }

    /// Assigns a client that was made for a child process to this process.
    fn claim(&self) {
        self.core.claim();
    }

    /// Whether the client belongs to the parent of this forked child. Then only `in_child` may be
    /// called, and `publish`, which returns nothing.
    fn is_foreign(&self) -> bool {
        self.core.is_foreign()
    }

    /// Waits for events as a thread, for at most `timeout` seconds if given. Returns whether there
    /// may be some. `signals` is as for `Waiter.wait`.
    fn wait(&self, py: Python<'_>, timeout: Option<f64>, signals: bool) -> PyResult<bool> {
        wait(py, timeout, signals, |timeout| self.core.wakeup().wait(timeout))
    }

    /// A descriptor that becomes readable when there may be events. The caller owns it; a
    /// descriptor from an earlier call then reads as closed.
    fn wake_fd(&self) -> PyResult<RawFd> {
        Ok(self.core.wakeup().descriptor().map_err(system)?.into_raw_fd())
    }

    /// Starts connecting, and returns the first attempt; with `report_first`, its outcome can be
    /// read. With `for_good`, a failed first attempt is followed by others; without, only if there
    /// already was a connection or an attempt. If a handler calls this, the attempt may be delayed.
    fn connect(
        &self,
        py: Python<'_>,
        options: ConnectOptions<'_>,
        report_first: bool,
        for_good: bool,
        by_handler: bool,
    ) -> PyResult<Attempt> {
        let options = options.into_core()?;
        // Opening the file of persistent messages may take a moment.
        let connect = || {
            if for_good || by_handler {
                self.core.connect_for_good(options, report_first, by_handler)
            } else {
                self.core.connect(options, report_first)
            }
        };
        py.detach(connect).map(Attempt).map_err(to_python)
    }

    /// Opens the file of persistent messages in a thread of its own, before `connect` with the same
    /// options.
    fn open_file(&self, py: Python<'_>, options: ConnectOptions<'_>) -> PyResult<Opening> {
        let options = options.into_core()?;
        py.detach(|| self.core.open_file(options)).map(Opening).map_err(to_python)
    }

    /// Writes and closes the file of persistent messages. Returns a wait that is over then, or
    /// `None` if there is no file.
    fn close_file(&self) -> Option<Waiter> {
        self.core.close_file().map(Waiter::new)
    }

    /// Whether messages are stored in a file.
    fn is_keeping(&self, py: Python<'_>) -> bool {
        self.session(py, |session| session.is_kept())
    }

    /// Withdraws a message that is not stored yet. Returns whether it was withdrawn.
    fn withdraw(&self, py: Python<'_>, mid: u16, delivery: &Delivery) -> bool {
        py.detach(|| self.core.withdraw(mid, delivery.core()))
    }

    /// Ends the connection with a DISCONNECT. Returns a wait that is over then, or `None` if there
    /// was nothing to end.
    fn disconnect(
        &self,
        report: bool,
        reason: u8,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Waiter>> {
        let properties = from_python(properties, Place::Disconnect)?;
        Ok(self.core.disconnect(report, reason, properties).map(Waiter::new))
    }

    /// Chooses whether the client sends `EVENT_ATTEMPT` before an attempt to connect and waits for
    /// `answer`. It never does so for the attempt that `connect` reports.
    fn ask(&self, wanted: bool) {
        self.core.ask(wanted);
    }

    /// Chooses whether each later connection provides a descriptor of its socket and sends
    /// `EVENT_SOCKET_OPENED`. The attempt that `connect` reports does not send it.
    fn want_socket(&self, wanted: bool) {
        self.core.socket().want(wanted);
    }

    /// A descriptor of the connection's socket, and a number unique to this connection; `None` if
    /// there is no socket. The caller owns the descriptor.
    fn socket(&self) -> PyResult<Option<(RawFd, u64)>> {
        let socket = self.core.socket().give().map_err(system)?;
        Ok(socket.map(|(descriptor, number)| (descriptor.into_raw_fd(), number)))
    }

    /// The number that `socket` returns; 0 without a connection or a descriptor of it.
    fn socket_number(&self) -> u64 {
        self.core.socket().number()
    }

    /// Sets the limits that hold until the first connection, from the values of their keys.
    fn limit(&self, settings: &Bound<'_, PyAny>) -> PyResult<()> {
        let limits = keys::limits(settings)?;
        self.session(settings.py(), |session| session.limit(limits));
        Ok(())
    }

    /// Whether an attempt is waiting for `answer`.
    fn is_asking(&self) -> bool {
        self.core.is_asking()
    }

    /// Sets the options of the next attempt and later ones; `None` keeps the previous ones.
    fn answer(&self, options: Option<ConnectOptions<'_>>) -> PyResult<()> {
        let options = options.map(ConnectOptions::into_core).transpose()?;
        self.core.answer(options).map_err(to_python)
    }

    /// Publishes a message. Returns its `MQTTMessageInfo`, or `None` if there will be room later or
    /// the client `is_foreign`. If the message is sent only after a file has it, the info's
    /// `_storing` reports that.
    fn publish<'py>(
        slf: &Bound<'py, Self>,
        topic: &Bound<'py, PyAny>,
        payload: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = qos_number)] qos: Qos,
        #[pyo3(from_py_with = truth)] retain: bool,
        properties: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let client = slf.get();
        if client.core.is_foreign() {
            return Ok(None);
        }
        let topic = topic_text(topic)?;
        let properties =
            properties.map(|given| from_python(Some(given), Place::Publish)).transpose()?;
        // After the message is accepted, nothing may fail.
        let class = client.infos.get_or_try_init(|| class_of_infos(slf.as_any()))?.bind(slf.py());
        let payload = payload_bytes(payload)?;
        let call = client.core.publishing(topic, &payload, qos, retain, properties);
        let (code, mid, delivery, storing) = client.session(slf.py(), call).map_err(to_python)?;
        if code == ReturnCode::Again {
            return Ok(None);
        }
        let info = info(class, code, mid)?;
        if let Some(core) = delivery {
            info.setattr(delivery_name(slf.py()), client.told(core))?;
        }
        if let Some(core) = storing {
            info.setattr("_storing", client.told(core))?;
        }
        Ok(Some(info))
    }

    /// Accepts no more QoS 1 and 2 messages, because the process ends.
    fn refuse_new(&self, py: Python<'_>) {
        self.session(py, Session::refuse_new);
    }

    /// How many QoS 1 and 2 messages are neither acknowledged nor in a file.
    fn only_in_memory(&self, py: Python<'_>) -> usize {
        self.session(py, |session| session.only_in_memory())
    }

    /// Counts a message that was dropped because no room became free in time.
    fn turn_away(&self, py: Python<'_>) {
        self.session(py, Session::turn_away);
    }

    /// The counters: see `flask_mqtt.Stats`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::to_dict(py, &py.detach(|| self.core.stats()))
    }

    /// The connection and its subscriptions: see `_core.pyi`.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let now = Instant::now();
        stats::health(py, &self.session(py, |session| session.health(now)))
    }

    /// Sends a PINGREQ, unless one is unanswered. Returns what tells whether the broker has
    /// answered, or `None` without a connection.
    fn ping(&self, py: Python<'_>) -> PyResult<Option<Delivery>> {
        let asked = self.session(py, Session::ping).map_err(to_python)?;
        Ok(asked.and_then(|core| self.told(core)))
    }

    /// The broker that is connected, or is tried next, and the client identifier.
    fn identity(&self, py: Python<'_>) -> (Option<String>, String) {
        self.session(py, |session| session.identity())
    }

    /// The delivery of a QoS 0 message; `None` in a forked child of the process that published it.
    fn delivery(&self, py: Python<'_>, mid: u16) -> Option<Delivery> {
        if self.core.is_foreign() {
            None
        } else {
            self.told(self.session(py, |session| session.delivery(mid)))
        }
    }

    /// Whether this client published a message.
    fn published(&self, delivery: &Delivery) -> bool {
        delivery.is_of(self.number)
    }

    /// Subscribes to filters, each with its QoS, no local, retain as published and retain handling,
    /// and returns `(rc, mid)`.
    fn subscribe<'py>(
        &self,
        py: Python<'py>,
        filters: Vec<Wanted>,
        properties: Option<&Bound<'py, PyAny>>,
        reuse: bool,
    ) -> PyResult<Requested<'py>> {
        let filters: Result<Vec<_>, Error> = filters.into_iter().map(to_subscription).collect();
        let properties = from_python(properties, Place::Subscribe)?;
        let result = filters.and_then(|filters| {
            self.session(py, |session| session.subscribe(filters, properties, reuse))
        });
        let (code, mid) = result.map_err(to_python)?;
        Ok((member(py, code)?, mid))
    }

    /// Holds subscriptions: keeps them, and sends no SUBSCRIBE and no UNSUBSCRIBE, until this is
    /// called with false.
    fn hold(&self, py: Python<'_>, held: bool) -> PyResult<()> {
        self.session(py, move |session| session.hold(held)).map_err(to_python)
    }

    /// The filters that every connection subscribes to, held or not.
    fn wanted(&self, py: Python<'_>) -> Vec<String> {
        self.session(py, |session| session.wanted().map(str::to_owned).collect())
    }

    /// Stops subscribing to filters on later connections.
    fn forget(&self, py: Python<'_>, filters: Vec<String>) {
        self.session(py, move |session| session.forget(&filters));
    }

    /// Unsubscribes from filters and returns `(rc, mid)`.
    fn unsubscribe<'py>(
        &self,
        py: Python<'py>,
        filters: Vec<String>,
        properties: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Requested<'py>> {
        let properties = from_python(properties, Place::Unsubscribe)?;
        let unsubscribed = self.session(py, |session| session.unsubscribe(filters, properties));
        let (code, mid) = unsubscribed.map_err(to_python)?;
        Ok((member(py, code)?, mid))
    }

    /// Marks a message as handled. Returns a delivery that reports when that is stored, if it has
    /// to be.
    fn handled(&self, py: Python<'_>, message: &MQTTMessage) -> PyResult<Option<Delivery>> {
        message.receipt.map_or(Ok(None), |receipt| self.handle(py, receipt))
    }

    /// The same for a message of which only the receipt was kept. For QoS 1, nothing is stored.
    fn settle(&self, py: Python<'_>, receipt: &Receipt) -> PyResult<()> {
        let receipt = receipt.0;
        self.session(py, move |session| session.handled(receipt)).map(drop).map_err(to_python)
    }

    /// Acknowledges a pending message by its packet identifier, and returns `rc`.
    fn acknowledge<'py>(&self, py: Python<'py>, mid: i64, qos: i64) -> PyResult<Bound<'py, PyAny>> {
        let qos = Qos::try_from(qos).map_err(to_python)?;
        let Ok(mid) = u16::try_from(mid) else { return member(py, ReturnCode::NotFound) };
        let acknowledged = self.session(py, |session| session.acknowledge(mid, qos));
        member(py, acknowledged.map_err(to_python)?)
    }

    /// Appends up to `most` events to the caller's list, oldest first, and returns how many there
    /// are: a report counts once for each of its messages.
    fn take(&self, into: &Bound<'_, PyList>, most: usize) -> PyResult<usize> {
        events::append(into, self.core.take(most))
    }

    /// Whether there are more events. Call it after handling the previous ones: if there are none,
    /// pending acknowledgements are sent at once.
    fn has_events(&self) -> bool {
        self.core.has_events()
    }

    /// Ends a wait for events.
    fn wake(&self) {
        self.core.wakeup().give();
    }

    /// A wait that is over when less data is pending for the broker.
    fn room(&self) -> Waiter {
        Waiter::new(self.core.room())
    }

    /// Whether waiting for room is useless until handlers make progress.
    fn is_stuck(&self, py: Python<'_>) -> bool {
        py.detach(|| self.core.is_stuck())
    }

    /// Chooses which events are reported.
    fn listen(&self, py: Python<'_>, logging: bool, publishing: bool) {
        py.detach(|| self.core.listen(logging, publishing));
    }

    /// Whether the connection's thread runs. The dispatcher is woken when it ends.
    fn is_running(&self) -> bool {
        self.core.is_running()
    }

    /// Whether the connection's thread runs and was not told to end.
    fn is_wanted(&self) -> bool {
        self.core.is_wanted()
    }

    /// Whether the broker has accepted the present connection.
    fn is_connected(&self, py: Python<'_>) -> bool {
        self.session(py, |session| session.is_connected())
    }

    /// Whether there is a connection, accepted or not.
    fn is_open(&self, py: Python<'_>) -> bool {
        self.session(py, |session| session.is_open())
    }
}

impl Client {
    fn of(core: CoreClient) -> Self {
        let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
        Self { core, number, infos: Once::new() }
    }

    /// Calls the session. Releases the GIL if another thread holds the session for more than a
    /// moment.
    fn session<T: Send>(&self, py: Python<'_>, call: impl FnOnce(&mut Session) -> T + Send) -> T {
        let result = self.core.try_session(call);
        result.unwrap_or_else(|call| py.detach(|| self.core.session(call)))
    }

    /// The same as `handled`, for a receipt.
    pub fn handle(&self, py: Python<'_>, receipt: CoreReceipt) -> PyResult<Option<Delivery>> {
        let handled = self.session(py, move |session| session.handled(receipt));
        Ok(handled.map_err(to_python)?.and_then(|core| self.told(core)))
    }

    fn told(&self, core: CoreDelivery) -> Option<Delivery> {
        let process = self.core.process()?.clone();
        Some(Delivery::new(core, self.number, process))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let ends = self.core.abandon();
        let Some(process) = self.core.process().filter(|_| !ends.is_empty()) else { return };
        departing::add(process, ends);
    }
}

fn to_subscription(wanted: Wanted) -> Result<Subscription, Error> {
    let (filter, qos, no_local, retain_as_published, retain_handling) = wanted;
    let qos = Qos::try_from(qos)?;
    let options = SubscribeOptions { qos, no_local, retain_as_published, retain_handling };
    Ok(Subscription { filter, options })
}
