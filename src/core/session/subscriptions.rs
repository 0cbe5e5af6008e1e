//! The application's subscriptions, and the SUBSCRIBE and UNSUBSCRIBE packets in flight.

use std::collections::{HashMap, HashSet, VecDeque};

use hashlink::LinkedHashMap;

use super::super::error::Error;
use super::super::packet::{Control, SubscribeOptions, Subscription};
use super::super::property::Properties;
use super::event::{Event, LogLevel};
use super::ids::Ids;
use super::output::Output;

/// So many filters may wait for an UNSUBSCRIBE on the next connection.
pub const MOST_UNWANTED: usize = 10_000;

/// So many requests of the application may wait for a packet identifier.
const MOST_WAITING: usize = 65_535;

/// What waits for a packet identifier.
#[derive(Debug)]
enum Next {
    /// The UNSUBSCRIBE from a filter that only a session of the broker's still has.
    Unwanted(String),
    /// The SUBSCRIBE to a filter that is wanted, with which every connection begins.
    Wanted(String),
    /// A request of the application's, whose identifier is of no account.
    Request(Control),
}

/// What the present connection has of a filter.
#[derive(Debug)]
struct Sent {
    options: SubscribeOptions,
    properties: Properties,
    mid: u16,
}

impl Sent {
    fn is(&self, options: SubscribeOptions, properties: &Properties) -> bool {
        self.options == options && self.properties == *properties
    }
}

/// How far a SUBSCRIBE is.
#[derive(Debug, Clone, Copy)]
pub enum Sending {
    /// Sent, with an identifier.
    Sent(u16),
    /// It waits for one.
    Waits,
}

/// Subscriptions outlive connections; requests wait for their answer.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Every filter that is subscribed to, in the order of subscription.
    wanted: LinkedHashMap<String, (SubscribeOptions, Properties)>,
    /// What was unsubscribed from without a connection: a session that the broker has kept still has it.
    unwanted: LinkedHashMap<String, Properties>,
    /// How many of those were forgotten, because others came.
    forgotten: usize,
    /// Requests without an answer by packet identifier, in the order of the calls.
    requests: LinkedHashMap<u16, Control>,
    /// What follows those as soon as there are identifiers, and the wanted filters among that.
    waiting: VecDeque<Next>,
    restoring: HashSet<String>,
    /// What was subscribed to on the present connection, and with which SUBSCRIBE.
    sent: HashMap<String, Sent>,
}

impl Subscriptions {
    /// What is wanted, as if nothing had been sent.
    pub fn anew(&self) -> Self {
        let (wanted, unwanted) = (self.wanted.clone(), self.unwanted.clone());
        Self { wanted, unwanted, forgotten: self.forgotten, ..Self::default() }
    }

    /// Remembers the filters for this and every later connection.
    pub fn want(&mut self, filters: &[Subscription], properties: &Properties) {
        for Subscription { filter, options } in filters {
            self.wanted.replace(filter.clone(), (*options, properties.clone()));
            self.unwanted.remove(filter);
        }
    }

    /// Forgets the filters.
    pub fn forget(&mut self, filters: &[String]) {
        for filter in filters {
            self.wanted.remove(filter);
        }
    }

    /// Remembers, without a connection, to unsubscribe from the filters with the next one.
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

    /// The SUBSCRIBE of this connection, if one was or will be sent for all of these.
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

    /// The oldest request without an answer.
    pub fn oldest_request(&self) -> Option<&Control> {
        self.requests.front().map(|(_, request)| request)
    }

    /// Whether so many requests wait that no other one is taken.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING + self.restoring.len()
    }

    /// Keeps a request until it is answered, and sends it if there is a connection. Returns its
    /// identifier; `None` where none is free, or others wait for one: then it is sent after those.
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

    /// Begins a connection: sends the requests without an answer, then one UNSUBSCRIBE for every filter
    /// that only a session of the broker's still has, and one SUBSCRIBE for every other wanted filter.
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
        if !session_present {
            // What was asked for before it was unwanted has gone out just now, or goes out before it.
            let asks = !self.waiting.is_empty();
            self.unwanted.retain(|filter, _| asks || self.sent.contains_key(filter));
            self.forgotten = 0;
        }
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

    /// Sends what has waited for an identifier, as far as there are any.
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

    /// The request that is due, if it still is.
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

    /// A request that this broker does not take as it is: its filters go out one by one.
    fn split(&mut self, request: Control) {
        // All of a SUBSCRIBE are wanted anyway.
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
                    (filter.clone(), Sent { options, properties, mid })
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

    /// A SUBACK with so many codes came: whether it was awaited. The request is over.
    pub fn subscribed(&mut self, mid: u16, codes: usize, ids: &mut Ids) -> Result<bool, Error> {
        let filters = self.requests.get(&mid).and_then(|request| match request {
            Control::Subscribe { filters, .. } => Some(filters.len()),
            _ => None,
        });
        self.answered(ids, mid, codes, filters)
    }

    /// An UNSUBACK with so many codes came: whether it was awaited. The request is over.
    pub fn unsubscribed(&mut self, mid: u16, codes: usize, ids: &mut Ids) -> Result<bool, Error> {
        let filters = self.requests.get(&mid).and_then(|request| match request {
            Control::Unsubscribe { filters, .. } => Some(filters.len()),
            _ => None,
        });
        self.answered(ids, mid, codes, filters)
    }

    /// `filters` is the number of those that the request has, if it is one that is answered so. There
    /// is a code for each (MQTT 3.1.1, section 3.9.3); too many could fill the memory.
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

    /// The connection ended. An UNSUBSCRIBE is sent again, since the broker may have kept the session;
    /// a SUBSCRIBE is not, since every wanted filter is.
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
