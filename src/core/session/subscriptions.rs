//! The application's subscriptions, and the SUBSCRIBE and UNSUBSCRIBE packets in flight.

use std::collections::{HashMap, HashSet, VecDeque};

use hashlink::LinkedHashMap;

use super::super::error::Error;
use super::super::packet::{Control, SubscribeOptions, Subscription};
use super::super::property::Properties;
use super::event::{Event, LogLevel};
use super::health::Missing;
use super::ids::Ids;
use super::output::Output;

/// Limit on filters that are unsubscribed from on the next connection.
pub const MOST_UNWANTED: usize = 10_000;

/// Limit on the application's requests that wait for a packet identifier.
const MOST_WAITING: usize = 65_535;

/// Reason codes from here on are refusals (MQTT 5.0, section 2.4).
const REFUSED: u8 = 0x80;

/// A request that waits for a packet identifier.
#[derive(Debug)]
enum Next {
    /// The UNSUBSCRIBE from a filter that only the broker's session still has.
    Unwanted(String),
    /// The SUBSCRIBE to a wanted filter at the start of a connection.
    Wanted(String),
    /// A request of the application; its own packet identifier is ignored.
    Request(Control),
}

/// The state of a filter on the present connection.
#[derive(Debug)]
struct Sent {
    options: SubscribeOptions,
    properties: Properties,
    mid: u16,
    /// The reason code of its SUBACK.
    answer: Option<u8>,
}

impl Sent {
    fn is(&self, options: SubscribeOptions, properties: &Properties) -> bool {
        self.options == options && self.properties == *properties
    }
}

/// The state of a SUBSCRIBE.
#[derive(Debug, Clone, Copy)]
pub enum Sending {
    /// Sent with an identifier.
    Sent(u16),
    /// Waiting for an identifier.
    Waits,
}

/// Subscriptions outlive connections; requests wait for their acknowledgement.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Every wanted filter, in the order of subscription.
    wanted: LinkedHashMap<String, (SubscribeOptions, Properties)>,
    /// Filters unsubscribed from without a connection: the broker's session may still have them.
    unwanted: LinkedHashMap<String, Properties>,
    /// How many of those were dropped in favour of newer ones.
    forgotten: usize,
    /// Unacknowledged requests by packet identifier, in the order of the calls.
    requests: LinkedHashMap<u16, Control>,
    /// Requests to be sent as soon as identifiers are free, and the wanted filters among them.
    waiting: VecDeque<Next>,
    restoring: HashSet<String>,
    /// Filters subscribed to on the present connection, and their SUBSCRIBE.
    sent: HashMap<String, Sent>,
    /// Whether new requests are kept for later instead of sent.
    held: bool,
}

impl Subscriptions {
    /// A copy of the wanted filters, as if nothing had been sent; it is not held.
    pub fn anew(&self) -> Self {
        let (wanted, unwanted) = (self.wanted.clone(), self.unwanted.clone());
        Self { wanted, unwanted, forgotten: self.forgotten, ..Self::default() }
    }

    /// The wanted filters.
    pub fn wanted(&self) -> impl Iterator<Item = &str> {
        self.wanted.keys().map(String::as_str)
    }

    /// Adds filters for this and every later connection.
    pub fn want(&mut self, filters: &[Subscription], properties: &Properties) {
        for Subscription { filter, options } in filters {
            self.wanted.replace(filter.clone(), (*options, properties.clone()));
            self.unwanted.remove(filter);
        }
    }

    /// Removes filters.
    pub fn forget(&mut self, filters: &[String]) {
        for filter in filters {
            self.wanted.remove(filter);
        }
    }

    /// Records that the next connection has to unsubscribe from filters.
    pub fn forget_later(&mut self, filters: Vec<String>, properties: &Properties) {
        self.forget(&filters);
        for filter in filters {
            self.unwanted.replace(filter, properties.clone());
        }
        while self.unwanted.len() > MOST_UNWANTED {
            self.unwanted.pop_front();
            self.forgotten += 1;
        }
    }

    /// The SUBSCRIBE of this connection, if one was or will be sent for all of these filters.
    pub fn already_sent(
        &self,
        filters: &[Subscription],
        properties: &Properties,
    ) -> Option<Sending> {
        let mut mids = filters.iter().map(|Subscription { filter, options }| {
            if let Some(sent) = self.sent.get(filter) {
                return sent.is(*options, properties).then_some(Sending::Sent(sent.mid));
            }
            let (wanted, with) = self.wanted.get(filter)?;
            let waits = self.restoring.contains(filter);
            (waits && wanted == options && with == properties).then_some(Sending::Waits)
        });
        let first = mids.next()??;
        mids.try_fold(first, |_, mid| mid)
    }

    /// Whether new requests are kept for later.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Whether an UNSUBSCRIBE from these filters is kept for later: the present connection is not
    /// subscribed to any of them.
    pub fn holds_back(&self, filters: &[String]) -> bool {
        self.held && !filters.iter().any(|filter| self.sent.contains_key(filter))
    }

    /// From now on keeps requests for later, and begins no connection with any. What was requested
    /// before stays: the present connection keeps its subscriptions.
    pub fn hold(&mut self) {
        self.held = true;
        self.restoring.clear();
        self.waiting.retain(|next| matches!(next, Next::Request(_)));
    }

    /// Sends requests again. With a connection, those that were kept are sent now.
    pub fn go_live(
        &mut self,
        connected: bool,
        ids: &mut Ids,
        output: &mut Output,
    ) -> Result<(), Error> {
        let was_held = std::mem::replace(&mut self.held, false);
        if was_held && connected { self.renew(ids, output) } else { Ok(()) }
    }

    /// The oldest unacknowledged request.
    pub fn oldest_request(&self) -> Option<&Control> {
        self.requests.front().map(|(_, request)| request)
    }

    /// Whether too many requests are pending to accept another one.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING + self.restoring.len()
    }

    /// Keeps a request until it is acknowledged, and sends it if there is a connection. Returns its
    /// identifier; `None` if none is free, or others wait for one: then it is sent after those.
    pub fn request(
        &mut self,
        mut request: Control,
        connected: bool,
        ids: &mut Ids,
        output: &mut Output,
    ) -> Result<Option<u16>, Error> {
        let mid = if self.waiting.is_empty() { ids.reserve() } else { None };
        let Some(mid) = mid else {
            self.waiting.push_back(Next::Request(request));
            return Ok(None);
        };
        request.set_mid(mid);
        if connected {
            self.send(&request, output)?;
        }
        self.requests.insert(mid, request);
        Ok(Some(mid))
    }

    /// Begins a connection: retransmits unacknowledged requests, then unsubscribes from each filter
    /// that only the broker's session still has, and subscribes to all other wanted filters, unless
    /// these are held.
    pub fn restore(
        &mut self,
        session_present: bool,
        ids: &mut Ids,
        output: &mut Output,
    ) -> Result<(), Error> {
        for (mid, request) in std::mem::take(&mut self.requests) {
            if output.refusal(&request).is_none() {
                self.send(&request, output)?;
                self.requests.insert(mid, request);
            } else {
                ids.release(mid);
                self.split(request);
            }
        }
        if self.held {
            // A later connection may be for another session.
            return Ok(());
        }
        if !session_present {
            // Earlier requests for this filter were sent just now, or will be sent first.
            let asks = !self.waiting.is_empty();
            self.unwanted.retain(|filter, _| asks || self.sent.contains_key(filter));
            self.forgotten = 0;
        }
        self.renew(ids, output)
    }

    /// Unsubscribes from all unwanted filters, and subscribes to all wanted ones.
    fn renew(&mut self, ids: &mut Ids, output: &mut Output) -> Result<(), Error> {
        if self.forgotten > 0 {
            output.effects.events.push_back(still_subscribed(std::mem::take(&mut self.forgotten)));
        }
        self.waiting.extend(self.unwanted.keys().cloned().map(Next::Unwanted));
        self.waiting.extend(self.wanted.keys().cloned().map(Next::Wanted));
        self.go_on(ids, output)?;
        let left = self.waiting.iter().filter_map(|next| match next {
            Next::Wanted(filter) => Some(filter.clone()),
            _ => None,
        });
        self.restoring.extend(left);
        Ok(())
    }

    /// Sends requests that wait for an identifier, while any are free.
    pub fn go_on(&mut self, ids: &mut Ids, output: &mut Output) -> Result<(), Error> {
        while ids.is_any_free()
            && let Some(next) = self.waiting.pop_front()
        {
            let Some(mut request) = self.resolve(next) else { continue };
            if let Some(code) = output.refusal(&request) {
                output.effects.request_refused(&request, code);
                continue;
            }
            if let Control::Unsubscribe { filters, .. } = &request {
                for filter in filters {
                    self.unwanted.remove(filter);
                }
            }
            let Some(mid) = ids.reserve() else { break };
            request.set_mid(mid);
            self.send(&request, output)?;
            self.requests.insert(mid, request);
        }
        Ok(())
    }

    /// Builds the pending request, if it is still needed.
    fn resolve(&mut self, next: Next) -> Option<Control> {
        match next {
            Next::Request(request) => Some(request),
            Next::Unwanted(filter) => {
                let properties = self.unwanted.get(&filter)?.clone();
                Some(Control::Unsubscribe { mid: 1, filters: vec![filter], properties })
            }
            Next::Wanted(filter) => {
                self.restoring.remove(&filter);
                let (options, properties) = self.wanted.get(&filter)?.clone();
                if self.sent.get(&filter).is_some_and(|sent| sent.is(options, &properties)) {
                    return None;
                }
                let filters = vec![Subscription { filter, options }];
                Some(Control::Subscribe { mid: 1, filters, properties })
            }
        }
    }

    /// This broker does not accept the whole request: sends its filters one by one.
    fn split(&mut self, request: Control) {
        // The filters of a SUBSCRIBE are all in `wanted` already.
        if let Control::Unsubscribe { filters, properties, .. } = request {
            for filter in filters {
                if !self.wanted.contains_key(&filter) {
                    self.unwanted.replace(filter, properties.clone());
                }
            }
        }
    }

    fn send(&mut self, request: &Control, output: &mut Output) -> Result<(), Error> {
        match request {
            Control::Subscribe { mid, filters, properties } => {
                let sent_now = |Subscription { filter, options }: &Subscription| {
                    let (options, properties, mid) = (*options, properties.clone(), *mid);
                    (filter.clone(), Sent { options, properties, mid, answer: None })
                };
                self.sent.extend(filters.iter().map(sent_now));
            }
            Control::Unsubscribe { filters, .. } => {
                for filter in filters {
                    self.sent.remove(filter);
                }
            }
            _ => {}
        }
        output.control(request)
    }

    /// A SUBACK arrived: completes the request. Returns whether it was expected.
    pub fn subscribed(&mut self, mid: u16, codes: &[u8], ids: &mut Ids) -> Result<bool, Error> {
        let mut count = None;
        if let Some(Control::Subscribe { filters, .. }) = self.requests.get(&mid) {
            count = Some(filters.len());
            for (Subscription { filter, .. }, code) in filters.iter().zip(codes) {
                if let Some(sent) = self.sent.get_mut(filter).filter(|sent| sent.mid == mid) {
                    sent.answer = Some(*code);
                }
            }
        }
        self.answered(ids, mid, codes.len(), count)
    }

    /// The wanted filters that the present connection is not subscribed to; none if they are held.
    pub fn missing(&self) -> Missing {
        let mut missing = Missing::default();
        for filter in self.wanted.keys().filter(|_| !self.held) {
            match self.sent.get(filter).and_then(|sent| sent.answer) {
                Some(code) if code < REFUSED => {}
                code => missing.add(filter, code),
            }
        }
        missing
    }

    /// An UNSUBACK with `codes` reason codes arrived: completes the request. Returns whether it was
    /// expected.
    pub fn unsubscribed(&mut self, mid: u16, codes: usize, ids: &mut Ids) -> Result<bool, Error> {
        let filters = self.requests.get(&mid).and_then(|request| match request {
            Control::Unsubscribe { filters, .. } => Some(filters.len()),
            _ => None,
        });
        self.answered(ids, mid, codes, filters)
    }

    /// `filters` is the number of filters in the request, if its kind matches. There must be
    /// one code for each (MQTT 3.1.1, section 3.9.3); too many could fill the memory.
    fn answered(
        &mut self,
        ids: &mut Ids,
        mid: u16,
        codes: usize,
        filters: Option<usize>,
    ) -> Result<bool, Error> {
        let Some(filters) = filters else { return Ok(false) };
        if codes > filters {
            let text = format!("an answer of {codes} codes to a request of {filters} filters");
            return Err(Error::Protocol(text));
        }
        self.requests.remove(&mid);
        ids.release(mid);
        Ok(true)
    }

    /// The connection ended. An UNSUBSCRIBE is sent again, because the broker may have kept the
    /// session. A SUBSCRIBE is not, because the next connection subscribes to every wanted filter.
    pub fn lost(&mut self, ids: &mut Ids) {
        self.sent.clear();
        self.restoring.clear();
        self.requests.retain(|mid, request| {
            let goes_on = matches!(request, Control::Unsubscribe { .. });
            if !goes_on {
                ids.release(*mid);
            }
            goes_on
        });
        self.waiting.retain(|next| matches!(next, Next::Request(Control::Unsubscribe { .. })));
    }
}

fn still_subscribed(count: usize) -> Event {
    let text = format!(
        "the broker may still be subscribed to {count} filters that were unsubscribed from without a \
         connection: only the last {MOST_UNWANTED} of those are remembered"
    );
    Event::notice(LogLevel::Warning, "still_subscribed", text).with("count", count as u64)
}
