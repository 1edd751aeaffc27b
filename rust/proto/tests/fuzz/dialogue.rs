//! What all cores are held to: how a peer's octets are cut into reads changes nothing that the core tells or says.

use super::runner::Random;
use ironpost_proto::body::BodySink;

/// Octets at the front of an input that steer our own side (what is accepted, what is refused, how reads are cut).
const STEERING_OCTETS: usize = 8;
/// Answers of ours are short lines; what they echo is never longer than the input itself.
const OUTPUT_OCTETS_PER_EVENT: usize = 512;

/// What a core told and said until it stopped.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript<Event> {
    /// All but `BodyReady`, whose number depends on the reads.
    pub events: Vec<Event>,
    /// What reached the sink.
    pub body: Vec<u8>,
    /// What was to be sent.
    pub output: Vec<u8>,
}

/// A core and a session of ours that answers it by the steering alone.
pub trait Party {
    /// What the core tells.
    type Event: std::fmt::Debug + PartialEq;
    /// A session that has greeted.
    fn new(steering: u64) -> Self;
    /// Takes one read and answers all that comes of it.
    fn receive(&mut self, piece: &[u8]);
    /// Takes the end of the connection and answers all that comes of it. The core must be closed behind it.
    fn receive_eof(&mut self);
    /// All that was seen.
    fn transcript(self) -> Transcript<Self::Event>;
}

/// Splits an input into its steering and the peer's octets.
pub fn steered(data: &[u8]) -> (u64, &[u8]) {
    let (front, peer) = data.split_at(data.len().min(STEERING_OCTETS));
    let steering = front
        .iter()
        .fold(0, |number: u64, &octet| number << 8 | u64::from(octet));
    (steering, peer)
}

/// Runs a party over the given reads.
pub fn run<P: Party>(steering: u64, pieces: &[&[u8]]) -> Transcript<P::Event> {
    let mut party = P::new(steering);
    for piece in pieces {
        party.receive(piece);
    }
    party.receive_eof();
    party.transcript()
}

/// Cuts into reads of random sizes.
pub fn cut(peer: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = peer;
    while !rest.is_empty() {
        let widest = 1 << random.below(11);
        let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(widest)));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}

/// Whole, octet by octet and cut at random: the transcript is the same.
pub fn check<P: Party>(data: &[u8]) {
    let (steering, peer) = steered(data);
    let whole = run::<P>(steering, &[peer]);
    let bound = (whole.events.len() + 2) * OUTPUT_OCTETS_PER_EVENT + peer.len() * 2;
    assert!(whole.output.len() <= bound, "{} octets of output", whole.output.len());
    assert!(whole.body.len() <= peer.len(), "a body longer than what came");
    let octets: Vec<&[u8]> = peer.chunks(1).collect();
    check_same(&run::<P>(steering, &octets), &whole);
    let pieces = cut(peer, &mut Random::new(steering ^ 0x0063_7574));
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    check_same(&run::<P>(steering, &pieces), &whole);
}

/// Names the first difference.
pub fn check_same<Event: std::fmt::Debug + PartialEq>(one: &Transcript<Event>, other: &Transcript<Event>) {
    let count = one.events.len().max(other.events.len());
    for (left, right) in (0..count).map(|at| (one.events.get(at), other.events.get(at))) {
        assert_eq!(left, right, "the reads decide what is told");
    }
    assert_eq!(
        String::from_utf8_lossy(&one.output),
        String::from_utf8_lossy(&other.output)
    );
    assert_eq!(String::from_utf8_lossy(&one.body), String::from_utf8_lossy(&other.body));
}

/// Takes a random part of what it is offered, at times nothing.
#[derive(Debug)]
pub struct LazySink {
    /// What was taken.
    pub body: Vec<u8>,
    random: Random,
}

impl LazySink {
    /// An empty sink.
    pub fn new(steering: u64) -> Self {
        Self {
            body: Vec::new(),
            random: Random::new(steering ^ 0x7369_6e6b),
        }
    }
}

impl BodySink for LazySink {
    fn push(&mut self, octets: &[u8]) -> usize {
        let taken = octets.len().min(self.random.below(700));
        self.body.extend_from_slice(&octets[..taken]);
        taken
    }
}
