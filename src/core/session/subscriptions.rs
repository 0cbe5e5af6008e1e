//! What the application wants to receive, and the SUBSCRIBE and UNSUBSCRIBE packets on the way.

use std::collections::{HashMap, VecDeque};

use indexmap::IndexMap;

use super::super::error::Error;
use super::super::packet::Control;
use super::super::qos::Qos;
use super::ids::Ids;
use super::output::Output;

/// Subscriptions outlive connections; requests wait for their answer.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Every filter that is subscribed to, in the order of subscription.
    wanted: IndexMap<String, Qos>,
    /// Requests without an answer, in the order of the calls.
    requests: VecDeque<Control>,
    /// What was subscribed to on the present connection, and with which SUBSCRIBE.
    sent: HashMap<String, (Qos, u16)>,
}

impl Subscriptions {
    /// Remembers the filters for this and every later connection.
    pub fn want(&mut self, filters: &[(String, Qos)]) {
        for (filter, qos) in filters {
            self.wanted.insert(filter.clone(), *qos);
        }
    }

    /// Forgets the filters.
    pub fn forget(&mut self, filters: &[String]) {
        for filter in filters {
            self.wanted.shift_remove(filter);
        }
    }

    /// The identifier of the SUBSCRIBE of this connection, if one was sent for all of these.
    pub fn already_sent(&self, filters: &[(String, Qos)]) -> Option<u16> {
        let mut mids = filters.iter().map(|(filter, qos)| match self.sent.get(filter) {
            Some((sent, mid)) if sent == qos => Some(*mid),
            _ => None,
        });
        let first = mids.next()??;
        mids.try_fold(first, |_, mid| mid)
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

    /// Begins a connection: sends the requests without an answer, then one SUBSCRIBE for every other
    /// wanted filter.
    pub fn restore(&mut self, ids: &mut Ids, output: &mut Output) -> Result<(), Error> {
        for request in &self.requests {
            send(request, &mut self.sent, output)?;
        }
        for (filter, qos) in &self.wanted {
            if self.sent.get(filter).is_some_and(|(sent, _)| sent == qos) {
                continue;
            }
            // Identifiers run out only with 65535 messages unconfirmed; the rest waits for the next time.
            let Some(mid) = ids.reserve() else { break };
            let request = Control::Subscribe { mid, filters: vec![(filter.clone(), *qos)] };
            send(&request, &mut self.sent, output)?;
            self.requests.push_back(request);
        }
        Ok(())
    }

    /// A SUBACK came: whether it was awaited. The request is over.
    pub fn subscribed(&mut self, mid: u16, ids: &mut Ids) -> bool {
        self.answered(
            ids,
            mid,
            |request| matches!(request, Control::Subscribe { mid: asked, .. } if *asked == mid),
        )
    }

    /// An UNSUBACK came: whether it was awaited. The request is over.
    pub fn unsubscribed(&mut self, mid: u16, ids: &mut Ids) -> bool {
        self.answered(
            ids,
            mid,
            |request| matches!(request, Control::Unsubscribe { mid: asked, .. } if *asked == mid),
        )
    }

    fn answered(&mut self, ids: &mut Ids, mid: u16, is_it: impl Fn(&Control) -> bool) -> bool {
        let Some(position) = self.requests.iter().position(is_it) else { return false };
        self.requests.remove(position);
        ids.release(mid);
        true
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

fn send(
    request: &Control,
    sent: &mut HashMap<String, (Qos, u16)>,
    output: &mut Output,
) -> Result<(), Error> {
    match request {
        Control::Subscribe { mid, filters } => {
            sent.extend(filters.iter().map(|(filter, qos)| (filter.clone(), (*qos, *mid))));
        }
        Control::Unsubscribe { filters, .. } => {
            sent.retain(|filter, _| !filters.contains(filter));
        }
        _ => {}
    }
    output.control(request)
}
