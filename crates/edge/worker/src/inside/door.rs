//! The way from an agent to its node: a listener on the sandbox's own loopback, which the node is given, and the agent's programs
//! connect to.
//!
//! ```text
//! inside   bring up lo of a network namespace that has nothing else; listen; send the listener over standard input
//! node     receives it, and answers whoever connects: only what is in this sandbox can
//! ```
//!
//! So agents of any language speak HTTP to the node and nobody else: no route leads out of the namespace. Who the caller is follows from
//! the listener, not from a path or a user.
//!
//! Deliberately absent: grade B, whose network is the machine's, and any address that the agent could choose.

use std::{
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    io::{Errno, IoSlice},
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv,
        send, sendmsg, socket_with,
    },
};

use crate::{
    inside::stage::{Problem, doing},
    session::DOOR_PORT,
};

/// Opens the door, and sends it to the node.
pub(super) fn open() -> Result<(), Problem> {
    bring_up_loopback().map_err(doing("bring up the sandbox's loopback"))?;
    let listener = TcpListener::bind(("127.0.0.1", DOOR_PORT)).map_err(doing("listen in the sandbox"))?;
    give(&listener.into()).map_err(doing("hand over the sandbox's listener"))
}

/// Sends a descriptor over standard input, which is a socket then.
fn give(listener: &OwnedFd) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [listener.as_fd()];
    // The room is for exactly this.
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(rustix::stdio::stdin(), &[IoSlice::new(b"d")], &mut control, SendFlags::NOSIGNAL).map(|_| ())
}

/// `ip link set lo up`, in rtnetlink's words (RFC 3549): a header, and an interface whose flag UP is to be set.
fn bring_up_loopback() -> Result<(), Errno> {
    const NEW_LINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 0x1 | 0x4;
    const LENGTH: u32 = 32;
    // In a new namespace it is the first interface, and the only one.
    const LOOPBACK: i32 = 1;
    const UP: u32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&netlink, &message, SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (length, _) = recv(&netlink, &mut answer, RecvFlags::empty())?;
    // An acknowledgement is an error message with the number 0, after the header.
    let code = answer[..length].get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw_os_error(code.saturating_neg())),
        None => Err(Errno::PROTO),
    }
}
