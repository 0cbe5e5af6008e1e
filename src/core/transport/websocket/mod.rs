//! A websocket as a stream of bytes (MQTT 5.0, section 6). Each write is one binary message;
//! packets may begin and end anywhere in the data read.
//!
//! A frame's payload is passed on as it arrives, before the frame or the message is complete. So
//! however much a server announces or sends, the client keeps two buffers.

mod handshake;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openssl::rand::rand_bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use super::super::error::Error;
use super::super::options::{ConnectOptions, Endpoint};
use super::super::text::told;
use super::Stream;

pub use handshake::check;

/// The largest message to write, and the size of a read for small ones.
const CHUNK: usize = 64 * 1024;

/// A server may put many packets into one frame, so frames up to this size are accepted whatever
/// the packet limit is.
const FRAME: usize = 16 * 1024 * 1024;

/// The maximum payload of a control frame (RFC 6455, section 5.5).
const CONTROL: u64 = 125;

/// Performs the websocket handshake on a stream.
pub async fn upgrade(
    stream: Box<dyn Stream>,
    options: &ConnectOptions,
    broker: &Endpoint,
) -> Result<Websocket, Error> {
    let (stream, behind) = handshake::shake_hands(stream, options, broker).await?;
    Ok(Websocket::new(stream, &behind, options.packet_size().max(FRAME)))
}

/// An open websocket.
pub struct Websocket {
    stream: Box<dyn Stream>,
    /// Bytes read, but not parsed.
    input: BytesMut,
    /// Remaining bytes of the current data frame.
    left: u64,
    /// Whether the message continues in another frame of this kind.
    unfinished: bool,
    /// The largest accepted frame, in bytes.
    largest: usize,
    /// The payload of the latest ping. Earlier pings need no pong (RFC 6455, section 5.5.3): so a
    /// server that sends many pings and reads nothing fills no queue, and its other frames are
    /// still read.
    pong: Option<Bytes>,
    /// Frames to be written: at most one data frame and one control frame.
    output: BytesMut,
    state: State,
    /// The end of the stream or an error, to be reported after the last packet.
    end: Option<io::Result<()>>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// We have sent a close frame, and still read.
    Closing,
    /// The server has sent a close frame: nothing follows it.
    Closed,
}

/// The kind of frame that was parsed.
enum Seen {
    /// A data frame, a ping, or a pong.
    Frame,
    Close(Bytes),
}

impl Websocket {
    /// Creates a websocket after its handshake; `behind` is data read after the response.
    fn new(stream: Box<dyn Stream>, behind: &[u8], largest: usize) -> Self {
        let mut input = BytesMut::with_capacity(CHUNK);
        input.extend_from_slice(behind);
        Self {
            stream,
            input,
            left: 0,
            unfinished: false,
            largest,
            pong: None,
            output: BytesMut::new(),
            state: State::Open,
            end: None,
        }
    }

    /// Parses the next header if it is complete; a control frame must be complete.
    fn look(&mut self) -> io::Result<Option<Seen>> {
        let mut cursor = Cursor::new(&self.input);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| invalid(&error))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let begins = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(broken(ProtocolError::NonZeroReservedBits));
        }
        if header.mask.is_some() {
            return Err(broken(ProtocolError::MaskedFrameFromServer));
        }
        let kind = match header.opcode {
            OpCode::Data(kind) => {
                self.begin(kind, header.is_final, length)?;
                self.input.advance(begins);
                return Ok(Some(Seen::Frame));
            }
            OpCode::Control(kind) => kind,
        };
        if !header.is_final {
            return Err(broken(ProtocolError::FragmentedControlFrame));
        }
        if length > CONTROL {
            return Err(broken(ProtocolError::ControlFrameTooBig));
        }
        let ends = begins + usize::try_from(length).unwrap_or(usize::MAX);
        if self.input.len() < ends {
            return Ok(None);
        }
        let payload = Bytes::copy_from_slice(&self.input[begins..ends]);
        self.input.advance(ends);
        match kind {
            Control::Close => return Ok(Some(Seen::Close(payload))),
            Control::Ping if self.state == State::Open => self.pong = Some(payload),
            _ => {}
        }
        Ok(Some(Seen::Frame))
    }

    /// Advances to the next frame. Returns whether there is one.
    fn look_further(&mut self, context: &mut Context<'_>) -> bool {
        match self.look() {
            Ok(Some(Seen::Frame)) => return true,
            Ok(None) => {}
            Ok(Some(Seen::Close(reason))) => self.end = Some(self.close(&reason, context)),
            Err(error) => self.end = Some(Err(error)),
        }
        false
    }

    /// Begins a data frame.
    fn begin(&mut self, kind: Data, is_final: bool, length: u64) -> io::Result<()> {
        match (kind, self.unfinished) {
            (Data::Continue, false) => return Err(broken(ProtocolError::UnexpectedContinueFrame)),
            (Data::Text | Data::Binary, true) => {
                return Err(broken(ProtocolError::ExpectedFragment(kind)));
            }
            (Data::Text, false) => {
                let text = "a text message on the websocket: MQTT goes in binary ones";
                return Err(protocol_error(text.to_owned()));
            }
            _ => {}
        }
        if length > self.largest as u64 {
            let most = self.largest;
            return Err(protocol_error(format!(
                "websocket message of {length} bytes is over the limit of {most} bytes"
            )));
        }
        self.unfinished = !is_final;
        self.left = length;
        Ok(())
    }

    /// Handles a close frame of the server, and responds.
    fn close(&mut self, reason: &Bytes, context: &mut Context<'_>) -> io::Result<()> {
        let open = self.state == State::Open;
        // A ping is answered only before the close frame.
        self.answer(context);
        self.state = State::Closed;
        self.pong = None;
        if open {
            // The response repeats the status code. Whether it arrives does not matter.
            let code = reason.get(..2).unwrap_or_default();
            if self.put(OpCode::Control(Control::Close), code).is_ok() {
                self.answer(context);
            }
        }
        closed(reason)
    }

    /// Appends a frame to the output.
    fn put(&mut self, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        // The mask must be unpredictable (RFC 6455, section 10.3).
        let mut mask = [0; 4];
        rand_bytes(&mut mask)?;
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        let frame = Frame::from_payload(header, Bytes::copy_from_slice(payload));
        frame.format(&mut (&mut self.output).writer()).map_err(|error| invalid(&error))
    }

    /// Writes the output, and the pong if one is due.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.output.is_empty() {
                let stream = Pin::new(&mut self.stream);
                let count = ready!(stream.poll_write(context, &self.output))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.output.advance(count);
            }
            let Some(payload) = self.pong.take() else { return Poll::Ready(Ok(())) };
            self.put(OpCode::Control(Control::Pong), &payload)?;
        }
    }

    /// Writes a pong or close frame, as far as the server accepts it now. If that fails, reading
    /// fails too, perhaps with a more precise error.
    fn answer(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(Ok(())) = self.poll_out(context) {
            let _ = Pin::new(&mut self.stream).poll_flush(context);
        }
    }

    /// Reads into the internal buffer. Zero bytes are the end of the stream.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(CHUNK / 4);
        pin!(self.stream.read_buf(&mut self.input)).poll(context)
    }
}

impl AsyncRead for Websocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            if this.left > 0 && !this.input.is_empty() && buffer.remaining() > 0 {
                let most = usize::try_from(this.left).unwrap_or(usize::MAX);
                let count = most.min(this.input.len()).min(buffer.remaining());
                buffer.put_slice(&this.input[..count]);
                this.input.advance(count);
                this.left -= count as u64;
                continue;
            }
            // Small frames are returned together: one read for each would cost the connection a
            // wake-up each time.
            if this.left == 0 && this.end.is_none() && this.look_further(context) {
                continue;
            }
            if this.pong.is_some() || !this.output.is_empty() {
                this.answer(context);
            }
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = &mut this.end {
                return Poll::Ready(std::mem::replace(end, Ok(())));
            }
            if this.left >= buffer.remaining() as u64 {
                // Everything read now belongs to this frame.
                ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
                this.left -= (buffer.filled().len() - before) as u64;
                return Poll::Ready(Ok(()));
            }
            // Brokers end the connection without a websocket close frame.
            if ready!(this.poll_input(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Websocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state != State::Open {
            let text = "the websocket is closed";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        ready!(this.poll_out(context))?;
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        this.put(OpCode::Data(Data::Binary), chunk)?;
        // Output that is not accepted yet must be written first.
        if let Poll::Ready(result) = this.poll_out(context) {
            result?;
        }
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state == State::Open {
            this.state = State::Closing;
            this.pong = None;
            this.put(OpCode::Control(Control::Close), &[])?;
        }
        ready!(this.poll_out(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

/// The end of the stream, or an error if the server gave a reason.
fn closed(reason: &[u8]) -> io::Result<()> {
    let Some((code, text)) = reason.split_first_chunk() else {
        return if reason.is_empty() {
            Ok(())
        } else {
            Err(broken(ProtocolError::InvalidCloseSequence))
        };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if matches!(code, CloseCode::Normal | CloseCode::Away) {
        return Ok(());
    }
    let mut why = format!("the broker closed the websocket: {code}");
    if !text.is_empty() {
        why = format!("{why} {}", told(&String::from_utf8_lossy(text)));
    }
    // Not the error kind of a broken connection: this is a response of the server, even before the
    // CONNACK.
    Err(io::Error::other(why))
}

fn protocol_error(text: String) -> io::Error {
    io::Error::other(Error::Protocol(text))
}

fn broken(error: ProtocolError) -> io::Error {
    invalid(&WsError::Protocol(error))
}

fn invalid(error: &WsError) -> io::Error {
    protocol_error(format!("websocket: {error}"))
}
