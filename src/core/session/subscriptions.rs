//! What the application wants to receive, and the SUBSCRIBE and UNSUBSCRIBE packets on the way.

use std::collections::{HashMap, VecDeque};

use indexmap::IndexMap;

use super::super::error::Error;
use super::super::packet::{Control, SubscribeOptions, Subscription};
use super::super::property::Properties;
use super::event::{Event, LogLevel};
use super::ids::Ids;
use super::output::Output;

/// So many filters may wait for an UNSUBSCRIBE on the next connection.
pub const MOST_UNWANTED: usize = 10_000;

/// What the present connection has of a filter.
#[derive(Debug)]
struct Sent {
    options: SubscribeOptions,
    properties: Properties,
    mid: u16,
}

/// Subscriptions outlive connections; requests wait for their answer.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Every filter that is subscribed to, in the order of subscription.
    wanted: IndexMap<String, (SubscribeOptions, Properties)>,
    /// What was unsubscribed from without a connection: a session that the broker has kept still has it.
    unwanted: IndexMap<String, Properties>,
    /// How many of those were forgotten, because others came.
    forgotten: usize,
    /// Requests without an answer, in the order of the calls.
    requests: VecDeque<Control>,
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
            self.wanted.insert(filter.clone(), (*options, properties.clone()));
            self.unwanted.shift_remove(filter);
        }
    }

    /// Forgets the filters.
    pub fn forget(&mut self, filters: &[String]) {
        for filter in filters {
            self.wanted.shift_remove(filter);
        }
    }

    /// Remembers, without a connection, to unsubscribe from the filters with the next one.
    pub fn forget_later(&mut self, filters: Vec<String>, properties: &Properties) {
        self.forget(&filters);
        for filter in filters {
            self.unwanted.insert(filter, properties.clone());
        }
        let excess = self.unwanted.len().saturating_sub(MOST_UNWANTED);
        self.unwanted.drain(..excess);
        self.forgotten += excess;
    }

    /// The identifier of the SUBSCRIBE of this connection, if one was sent for all of these.
    pub fn already_sent(&self, filters: &[Subscription], properties: &Properties) -> Option<u16> {
        let mut mids = filters.iter().map(|Subscription { filter, options }| {
            let sent = self.sent.get(filter)?;
            (sent.options == *options && sent.properties == *properties).then_some(sent.mid)
        });
        let first = mids.next()??;
        mids.try_fold(first, |_, mid| mid)
    }

    /// The oldest request without an answer.
    pub fn oldest_request(&self) -> Option<&Control> {
        self.requests.front()
    }

    /// Keeps a request until it is answered, and sends it if there is a connection.
    pub fn request(
        &mut self,
        request: Control,
        connected: bool,
        output: &mut Output,
    ) -> Result<(), Error> {
        if connected {
            send(&request, &mut self.sent, output)?;
        }
        self.requests.push_back(request);
        Ok(())
    }

    /// Begins a connection: sends the requests without an answer, then one UNSUBSCRIBE for every filter
    /// that only a session of the broker's still has, and one SUBSCRIBE for every other wanted filter.
    pub fn restore(
        &mut self,
        session_present: bool,
        ids: &mut Ids,
        output: &mut Output,
    ) -> Result<(), Error> {
        for request in &self.requests {
            send(request, &mut self.sent, output)?;
        }
        if !session_present {
            // What was asked for before it was unwanted has gone out just now.
            self.unwanted.retain(|filter, _| self.sent.contains_key(filter));
            self.forgotten = 0;
        }
        if self.forgotten > 0 {
            output.events.push_back(still_subscribed(std::mem::take(&mut self.forgotten)));
        }
        let mut sent = 0;
        for (filter, properties) in &self.unwanted {
            // As below.
            let Some(mid) = ids.reserve() else { break };
            let (filters, properties) = (vec![filter.clone()], properties.clone());
            let request = Control::Unsubscribe { mid, filters, properties };
            send(&request, &mut self.sent, output)?;
            self.requests.push_back(request);
            sent += 1;
        }
        self.unwanted.drain(..sent);
        for (filter, (options, properties)) in &self.wanted {
            if self
                .sent
                .get(filter)
                .is_some_and(|sent| sent.options == *options && sent.properties == *properties)
            {
                continue;
            }
            // Identifiers run out only with 65535 messages unconfirmed; the rest waits for the next time.
            let Some(mid) = ids.reserve() else { break };
            let filters = vec![Subscription { filter: filter.clone(), options: *options }];
            let request = Control::Subscribe { mid, filters, properties: properties.clone() };
            send(&request, &mut self.sent, output)?;
            self.requests.push_back(request);
        }
        Ok(())
    }

    /// A SUBACK with so many codes came: whether it was awaited. The request is over.
    pub fn subscribed(&mut self, mid: u16, codes: usize, ids: &mut Ids) -> Result<bool, Error> {
        let filters = |request: &Control| match request {
            Control::Subscribe { mid: asked, filters, .. } if *asked == mid => Some(filters.len()),
            _ => None,
        };
        self.answered(ids, mid, codes, filters)
    }

    /// An UNSUBACK with so many codes came: whether it was awaited. The request is over.
    pub fn unsubscribed(&mut self, mid: u16, codes: usize, ids: &mut Ids) -> Result<bool, Error> {
        let filters = |request: &Control| match request {
            Control::Unsubscribe { mid: asked, filters, .. } if *asked == mid => {
                Some(filters.len())
            }
            _ => None,
        };
        self.answered(ids, mid, codes, filters)
    }

    /// `filters` gives the number of those that a request has, if it is the one that is answered. There
    /// is a code for each (MQTT 3.1.1, section 3.9.3); too many could fill the memory.
    fn answered(
        &mut self,
        ids: &mut Ids,
        mid: u16,
        codes: usize,
        filters: impl Fn(&Control) -> Option<usize>,
    ) -> Result<bool, Error> {
        let mut requests = self.requests.iter().enumerate();
        let found = requests.find_map(|(position, request)| Some((position, filters(request)?)));
        let Some((position, filters)) = found else { return Ok(false) };
        if codes > filters {
            let text = format!("an answer of {codes} codes to a request of {filters} filters");
            return Err(Error::Protocol(text));
        }
        self.requests.remove(position);
        ids.release(mid);
        Ok(true)
    }

    /// The connection ended. An UNSUBSCRIBE is sent again, since the broker may have kept the session;
    /// a SUBSCRIBE is not, since every wanted filter is.
    pub fn lost(&mut self, ids: &mut Ids) {
        self.sent.clear();
        self.requests.retain(|request| {
            if let Control::Subscribe { mid, .. } = request {
                ids.release(*mid);
            }
            matches!(request, Control::Unsubscribe { .. })
        });
    }
}

fn still_subscribed(count: usize) -> Event {
    let text = format!(
        "the broker may still be subscribed to {count} filters that were unsubscribed from without a \
         connection: only the last {MOST_UNWANTED} of those are remembered"
    );
    Event::notice(LogLevel::Warning, "still_subscribed", text).with("count", count as u64)
}

fn send(
    request: &Control,
    sent: &mut HashMap<String, Sent>,
    output: &mut Output,
) -> Result<(), Error> {
    if !output.takes(request) {
        output.too_large(request);
        return Ok(());
    }
    match request {
        Control::Subscribe { mid, filters, properties } => {
            let sent_now = |Subscription { filter, options }: &Subscription| {
                let (options, properties, mid) = (*options, properties.clone(), *mid);
                (filter.clone(), Sent { options, properties, mid })
            };
            sent.extend(filters.iter().map(sent_now));
        }
        Control::Unsubscribe { filters, .. } => {
            sent.retain(|filter, _| !filters.contains(filter));
        }
        _ => {}
    }
    output.control(request)
}
