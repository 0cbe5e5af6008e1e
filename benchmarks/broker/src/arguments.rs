//! The command line.

/// What the process does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Be a broker.
    Serve,
    /// Publish to a broker.
    Feed,
    /// Send HTTP requests.
    Load,
}

/// The command line.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // each is an option of its own
pub struct Arguments {
    /// What the process does.
    pub role: Role,
    /// Where to connect to.
    pub port: u16,
    /// Whether subscribers are sent messages.
    pub send: bool,
    /// Messages per second; 0 for as many as are taken.
    pub rate: u64,
    /// Bytes of a payload.
    pub size: usize,
    /// Quality of service of what is sent.
    pub qos: u8,
    /// How many topics there are in turn: `bench/0`, `bench/1` and so on.
    pub topics: usize,
    /// Messages of QoS 1 and 2 on the way at a time.
    pub window: u64,
    /// Whether a payload begins with the time: nanoseconds of the Unix epoch, eight bytes.
    pub stamp: bool,
    /// Whether what is published goes back to its publisher.
    pub echo: bool,
    /// Whether pauses between messages leave the core to others, at the cost of small bursts.
    pub gentle: bool,
    /// HTTP connections.
    pub connections: usize,
    /// How long to send HTTP requests.
    pub seconds: f64,
}

impl Arguments {
    /// Reads them.
    pub fn from_command_line() -> Result<Self, String> {
        let mut given = std::env::args().skip(1);
        let role = match given.next().as_deref() {
            Some("serve") => Role::Serve,
            Some("feed") => Role::Feed,
            Some("load") => Role::Load,
            other => return Err(format!("{other:?} is none of serve, feed and load")),
        };
        let mut read = Self {
            role,
            port: 0,
            send: role == Role::Feed,
            rate: 0,
            size: 64,
            qos: 0,
            topics: 1,
            window: 10_000,
            stamp: false,
            echo: false,
            gentle: false,
            connections: 8,
            seconds: 1.0,
        };
        while let Some(name) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{name} has no value"));
            match name.as_str() {
                "--send" => read.send = true,
                "--stamp" => read.stamp = true,
                "--echo" => read.echo = true,
                "--gentle" => read.gentle = true,
                "--port" => read.port = number(&name, &value()?)?,
                "--rate" => read.rate = number(&name, &value()?)?,
                "--size" => read.size = number(&name, &value()?)?,
                "--qos" => read.qos = number(&name, &value()?)?,
                "--topics" => read.topics = number(&name, &value()?)?,
                "--window" => read.window = number(&name, &value()?)?,
                "--connections" => read.connections = number(&name, &value()?)?,
                "--seconds" => read.seconds = number(&name, &value()?)?,
                _ => return Err(format!("{name} is no option")),
            }
        }
        read.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.qos > 2 {
            return Err(format!("--qos {}: 0, 1 or 2", self.qos));
        }
        if self.topics == 0 || !(1..=60_000).contains(&self.window) {
            return Err("--topics is at least 1, --window between 1 and 60000".to_owned());
        }
        if self.stamp && self.size < 8 {
            return Err(format!("--size {}: at least 8 with --stamp", self.size));
        }
        Ok(self)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: not such a number"))
}
