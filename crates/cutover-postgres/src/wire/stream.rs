//! The stream under tokio-postgres: a socket or TLS, with a recorder listening in, and the source of COPY data.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready as poll_ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::recorder::{CopyPart, SharedRecorder, lock};
use super::sieve::Sieve;

/// Bytes of COPY data read at once: 256 KiB, which the buffers of the processor hold.
const SIEVED_AT_ONCE: usize = 256 << 10;
/// How often in a row.
const SIEVED_IN_A_ROW: usize = 8;

/// How the bytes travel.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP, not encrypted.
    Tcp(TcpStream),
    /// A local socket.
    Unix(UnixStream),
    /// TCP under TLS.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Transport {
    /// How long a reader in no hurry leaves the server alone: the buffers between the two must not fill meanwhile. Those
    /// of TCP grow to some megabytes, those of a local socket hold 200 KB, overhead included. Measured with a server on
    /// the same machine: reading two streams at once takes 15 % less time over TCP, 7 % over a local socket; with 500 µs
    /// over a local socket it takes twice as long. Longer rests over TCP save the server some more, up to 2 ms.
    fn rest(&self) -> Duration {
        match self {
            Self::Tcp(_) | Self::Tls(_) => Duration::from_millis(1),
            Self::Unix(_) => Duration::from_micros(50),
        }
    }
}

macro_rules! each_transport {
    ($transport:expr, $stream:ident => $call:expr) => {
        match $transport {
            Transport::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $call
            }
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each_transport!(self.get_mut(), stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each_transport!(self.get_mut(), stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_transport!(self.get_mut(), stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_transport!(self.get_mut(), stream => stream.poll_shutdown(cx))
    }
}

/// A transport with a recorder.
#[derive(Debug)]
pub(crate) struct Wire {
    transport: Transport,
    recorder: SharedRecorder,
    /// `tls-server-end-point` data of the server's certificate, for SCRAM-SHA-256-PLUS.
    channel_binding: Option<Vec<u8>>,
    copy: Option<mpsc::Receiver<CopyPart>>,
    /// Frames of ours that are partly written; nothing else may come between.
    pending: BytesMut,
    /// Body of the COPY data whose head is in `pending`; kept apart so that it is not copied.
    pending_data: Bytes,
    /// COPY data on its way to a sink.
    sieve: Option<Sieve>,
    /// Where it is read to, while there is a sieve.
    piece: Vec<u8>,
    /// What came through the sieve, or behind it, and was not read yet.
    through: Vec<u8>,
    /// Our side of the connection is closed.
    shut: bool,
}

impl Wire {
    pub(crate) fn new(
        transport: Transport,
        recorder: SharedRecorder,
        channel_binding: Option<Vec<u8>>,
    ) -> Self {
        Self {
            transport,
            recorder,
            channel_binding,
            copy: None,
            pending: BytesMut::new(),
            pending_data: Bytes::new(),
            sieve: None,
            piece: Vec::new(),
            through: Vec::new(),
            shut: false,
        }
    }

    /// Reads with the data of a COPY taken out.
    fn poll_sieved(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(SIEVED_AT_ONCE, 0);
        let result = self.poll_sieved_by(&mut piece, cx, buffer);
        if self.sieve.is_some() {
            self.piece = piece;
        }
        result
    }

    fn poll_sieved_by(
        &mut self,
        piece: &mut [u8],
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever else runs on this thread is to have a turn now and then.
        for _ in 0..SIEVED_IN_A_ROW {
            if !self.through.is_empty() {
                let count = self.through.len().min(buffer.remaining());
                buffer.put_slice(&self.through[..count]);
                self.through.drain(..count);
                return Poll::Ready(Ok(()));
            }
            if self.sieve.is_none() {
                break;
            }
            let mut read = ReadBuf::new(piece);
            let Poll::Ready(result) = Pin::new(&mut self.transport).poll_read(cx, &mut read) else {
                if self.sieve.as_ref().is_some_and(Sieve::may_rest) {
                    // What comes meanwhile is there when the runtime looks next.
                    std::thread::sleep(self.transport.rest());
                }
                return Poll::Pending;
            };
            result?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.sift(read.filled());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Parts the data of the COPY from what goes through, answer by answer.
    fn sift(&mut self, mut bytes: &[u8]) {
        let mut recorder = lock(&self.recorder);
        recorder.moved();
        while !bytes.is_empty() {
            if self.sieve.is_none() {
                self.sieve = recorder.begin_sieve();
            }
            let Some(sieve) = &mut self.sieve else {
                recorder.received(bytes);
                self.through.extend_from_slice(bytes);
                return;
            };
            if !sieve.is_active() && recorder.answers(sieve.query()) {
                sieve.activate();
            }
            let begin = self.through.len();
            bytes = sieve.feed(bytes, &mut self.through);
            recorder.received(&self.through[begin..]);
            let ended = sieve.is_active() && !recorder.answers(sieve.query());
            if let Some(sieve) = self.sieve.take_if(|_| ended) {
                recorder.state().sink_done = Some((sieve.query(), sieve.into_sink()));
            }
        }
    }

    /// Writes what is pending, whole.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() || !self.pending_data.is_empty() {
            let in_head = !self.pending.is_empty();
            let bytes: &[u8] = if in_head { &self.pending } else { &self.pending_data };
            let written = poll_ready!(Pin::new(&mut self.transport).poll_write(cx, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if in_head {
                self.pending.advance(written);
            } else {
                self.pending_data.advance(written);
            }
            lock(&self.recorder).moved();
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the server the COPY data it waits for. Ready when it waits for none.
    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            poll_ready!(self.poll_pending(cx))?;
            if !self.copy_wanted() {
                self.copy = None;
                return Poll::Ready(Ok(()));
            }
            let part = match &mut self.copy {
                Some(source) => poll_ready!(source.poll_recv(cx))
                    .unwrap_or_else(|| CopyPart::Fail("the client gave the copy up".to_owned())),
                // Sent like any other statement: the server would wait for ever.
                None => CopyPart::Fail("no data is sent for this COPY FROM STDIN".to_owned()),
            };
            self.put(part);
        }
    }

    /// Whether the server waits for data and a frame can begin; takes the source over when it does.
    fn copy_wanted(&mut self) -> bool {
        let mut recorder = lock(&self.recorder);
        if !recorder.state().copy_active || !recorder.at_boundary() {
            return false;
        }
        if let Some(source) = recorder.state().take_copy_source() {
            self.copy = Some(source);
        }
        true
    }

    fn put(&mut self, part: CopyPart) {
        match part {
            CopyPart::Data(data) => {
                self.pending.put_u8(b'd');
                self.put_length(data.len());
                self.pending_data = data;
                return;
            }
            CopyPart::Done => {
                self.pending.put_u8(b'c');
                self.put_length(0);
            }
            CopyPart::Fail(reason) => {
                let reason = reason.replace('\0', " ");
                self.pending.put_u8(b'f');
                self.put_length(reason.len() + 1);
                self.pending.put_slice(reason.as_bytes());
                self.pending.put_u8(0);
            }
        }
        lock(&self.recorder).state().copy_active = false;
    }

    fn put_length(&mut self, body: usize) {
        // Callers cut data far below 2 GiB; a longer body would be refused by the server as a broken frame.
        self.pending.put_u32(u32::try_from(body + 4).unwrap_or(u32::MAX));
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.sieve.is_none() && this.through.is_empty() {
            this.sieve = lock(&this.recorder).begin_sieve();
        }
        if this.sieve.is_some() || !this.through.is_empty() {
            return this.poll_sieved(cx, buffer);
        }
        let before = buffer.filled().len();
        poll_ready!(Pin::new(&mut this.transport).poll_read(cx, buffer))?;
        let received = &buffer.filled()[before..];
        if !received.is_empty() {
            let mut recorder = lock(&this.recorder);
            recorder.received(received);
            if let Some(why) = &recorder.state().out_of_step {
                return Poll::Ready(Err(io::Error::other(why.clone())));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        poll_ready!(this.poll_copy(cx))?;
        let written = poll_ready!(Pin::new(&mut this.transport).poll_write(cx, bytes))?;
        lock(&this.recorder).sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Waiting for COPY data must not hold back what is written; both wakers are registered.
        let copied = this.poll_copy(cx)?;
        poll_ready!(Pin::new(&mut this.transport).poll_flush(cx))?;
        copied.map(Ok)
    }

    /// Ends our side, then waits until the server has ended its own: only then is the backend gone, with its locks
    /// and its place in the database.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            poll_ready!(Pin::new(&mut this.transport).poll_shutdown(cx))?;
            this.shut = true;
        }
        let mut rest = [0; 1 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            match poll_ready!(Pin::new(&mut this.transport).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // However the server closes, it is over.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.channel_binding {
            Some(data) => ChannelBinding::tls_server_end_point(data.clone()),
            None => ChannelBinding::none(),
        }
    }
}

/// Tells tokio-postgres that the stream is as encrypted as it will be: this crate has negotiated TLS before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passthrough;

impl TlsConnect<Wire> for Passthrough {
    type Stream = Wire;
    type Error = io::Error;
    type Future = Ready<io::Result<Wire>>;

    fn connect(self, stream: Wire) -> Self::Future {
        ready(Ok(stream))
    }
}
