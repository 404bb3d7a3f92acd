//! Sockets by netlink: sock_diag(7).

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `TCP_LISTEN` as a bit of `idiag_states`.
const LISTEN: u32 = 1 << 10;
/// `nlmsghdr`.
const HEADER: usize = 16;
/// `inet_diag_req_v2`.
const REQUEST: usize = 56;
/// `inet_diag_msg`.
const MESSAGE: usize = 72;
/// The kernel fills at most this much at once.
const BUFFER: usize = 32 << 10;

/// The sockets in LISTEN, of one port or of all.
pub(super) fn listening(port: Option<u16>) -> io::Result<Vec<(SocketAddr, u64)>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; BUFFER];
    for family in [AF_INET, AF_INET6] {
        send(&socket, &request(family, port.unwrap_or(0)), SendFlags::empty())?;
        while !read(&socket, &mut buffer, port, &mut found)? {}
    }
    Ok(found)
}

/// A dump of one family: header, `inet_diag_req_v2` with an `inet_diag_sockid` of which only the port is given.
fn request(family: u8, port: u16) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0_u8; HEADER + REQUEST];
    let length = u32::try_from(bytes.len()).unwrap_or(0);
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes[HEADER] = family;
    bytes[HEADER + 1] = IPPROTO_TCP;
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&LISTEN.to_ne_bytes());
    bytes[HEADER + 8..HEADER + 10].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// Reads one datagram; true when it was the last.
fn read(
    socket: &rustix::fd::OwnedFd,
    buffer: &mut [u8],
    port: Option<u16>,
    found: &mut Vec<(SocketAddr, u64)>,
) -> io::Result<bool> {
    let (_, length) = recv(socket, &mut *buffer, RecvFlags::empty())?;
    let mut rest = &buffer[..length];
    while rest.len() >= HEADER {
        let size = u32_at(rest, 0) as usize;
        if size < HEADER || size > rest.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (message, after) = rest.split_at(size);
        match u16::from_ne_bytes([message[4], message[5]]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            SOCK_DIAG_BY_FAMILY if message.len() >= HEADER + MESSAGE => {
                let socket = parse(&message[HEADER..]);
                if port.is_none_or(|port| socket.0.port() == port) {
                    found.push(socket);
                }
            }
            // Other messages are not answers to what was asked.
            _ => {}
        }
        // Messages are aligned to 4 bytes.
        let padding = size.next_multiple_of(4) - size;
        rest = after.get(padding..).unwrap_or_default();
    }
    Ok(length == 0)
}

/// `inet_diag_msg`: family at 0, source port (big endian) at 4, source address at 8, inode at 68.
fn parse(message: &[u8]) -> (SocketAddr, u64) {
    let port = u16::from_be_bytes([message[4], message[5]]);
    let mut source = [0_u8; 16];
    source.copy_from_slice(&message[8..24]);
    let ip = if message[0] == AF_INET {
        IpAddr::V4(Ipv4Addr::new(source[0], source[1], source[2], source[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(source))
    };
    (SocketAddr::new(ip, port), u64::from(u32_at(message, 68)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
