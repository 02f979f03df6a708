//! The first version of the cache as a subject: a map of `String`s in shards, behind locks, which
//! is scanned for its oldest entry on every insert at capacity. Speaks the protocol that
//! bench/README.md tells of.

use dashmap::DashMap;
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, String>;

// ---- The cache ---------------------------------------------------------------------------------

struct Entry {
    value: String,
    deadline: Option<Instant>,
    last_access: AtomicU64, // nanoseconds since the cache was created
}

impl Entry {
    fn is_expired(&self, now: Instant) -> bool {
        matches!(self.deadline, Some(deadline) if deadline <= now)
    }
}

struct Cache {
    map: DashMap<String, Entry>,
    capacity: usize, // at least 1
    created: Instant,
}

impl Cache {
    fn new(capacity: usize) -> Self {
        Cache { map: DashMap::with_capacity(capacity), capacity, created: Instant::now() }
    }

    fn get(&self, key: &str) -> Option<String> {
        let now = Instant::now();
        let entry = self.map.get(key)?;
        if !entry.is_expired(now) {
            entry.last_access.store(self.stamp(now), Ordering::Relaxed);
            return Some(entry.value.clone());
        }
        drop(entry); // it holds the shard's lock, which the removal takes
        self.map.remove_if(key, |_, entry| entry.is_expired(now));
        None
    }

    /// Two threads may find room for one entry at the same time, so that the map may have an entry
    /// too many for each thread but one, until the next insert.
    fn set(&self, key: &str, value: String, ttl: Option<Duration>) {
        if !self.map.contains_key(key) {
            while self.map.len() >= self.capacity {
                self.evict_oldest();
            }
        }
        let now = Instant::now();
        let deadline = ttl.and_then(|ttl| now.checked_add(ttl));
        let last_access = AtomicU64::new(self.stamp(now));
        self.map.insert(key.to_string(), Entry { value, deadline, last_access });
    }

    fn evict_oldest(&self) {
        let oldest = self
            .map
            .iter()
            .min_by_key(|item| item.last_access.load(Ordering::Relaxed))
            .map(|item| item.key().clone());
        if let Some(key) = oldest {
            self.map.remove(&key);
        }
    }

    fn len(&self) -> usize {
        self.map.len()
    }

    fn stamp(&self, now: Instant) -> u64 {
        now.duration_since(self.created).as_nanos() as u64
    }
}

// ---- Values ------------------------------------------------------------------------------------

const SMALLEST_LENGTH: usize = 16; // of keys and of values

/// The word that tells a key's number in its value: eight ASCII characters.
fn word_of(number: u32) -> [u8; 8] {
    let mut n = u64::from(number).wrapping_add(0x9e3779b97f4a7c15);
    n = (n ^ n >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27).wrapping_mul(0x94d049bb133111eb);
    n ^= n >> 31;
    ((n & 0x0f0f0f0f0f0f0f0f) | 0x4040404040404040).to_ne_bytes()
}

/// Where the words lie in a value of a length. In a short one the middle word would overlap the
/// others, and is left out: the first is told twice.
fn word_offsets(length: usize) -> [usize; 3] {
    let middle = if length < 24 { 0 } else { length / 2 - 4 };
    [0, middle, length - 8]
}

/// Makes the value of a key from one with the words left blank.
fn make_value(template: &str, number: u32) -> String {
    let word = word_of(number);
    let mut value = template.to_string();
    // Safety: both the template and the words are ASCII.
    let bytes = unsafe { value.as_bytes_mut() };
    for at in word_offsets(bytes.len()) {
        bytes[at..at + 8].copy_from_slice(&word);
    }
    value
}

fn is_value_of(value: &str, length: usize, number: u32) -> bool {
    let word = word_of(number);
    let bytes = value.as_bytes();
    bytes.len() == length && word_offsets(length).iter().all(|&at| bytes[at..at + 8] == word)
}

// ---- Plans -------------------------------------------------------------------------------------

struct Plan {
    keys: String,
    key_bytes: usize,
    value_bytes: usize,
    capacity: usize,
    fill: u32,
    ttl: Option<Duration>,
    sequences: Vec<String>,
    warm: usize,
    calls: usize,
    read_through: bool,
    storm: bool,
    latency: bool,
}

fn word<T: FromStr>(words: &HashMap<&str, &str>, name: &str) -> Outcome<T> {
    let text = words.get(name).ok_or_else(|| format!("the plan has no {name}"))?;
    text.parse().map_err(|_| format!("{name} cannot be {text}"))
}

fn flag(words: &HashMap<&str, &str>, name: &str) -> Outcome<bool> {
    Ok(word::<u8>(words, name)? != 0)
}

/// A length of keys or values.
fn length(words: &HashMap<&str, &str>, name: &str) -> Outcome<usize> {
    let length = word(words, name)?;
    if length < SMALLEST_LENGTH {
        return Err(format!("{name} is less than {SMALLEST_LENGTH}"));
    }
    Ok(length)
}

impl Plan {
    fn parse(line: &str) -> Outcome<Plan> {
        let words: HashMap<_, _> =
            line.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let ttl_ms: u64 = word(&words, "ttl_ms")?;
        let sequences: String = word(&words, "sequences")?;
        let plan = Plan {
            keys: word(&words, "keys")?,
            key_bytes: length(&words, "key_bytes")?,
            value_bytes: length(&words, "value_bytes")?,
            capacity: word(&words, "capacity")?,
            fill: word(&words, "fill")?,
            ttl: (ttl_ms > 0).then(|| Duration::from_millis(ttl_ms)),
            sequences: sequences.split(',').map(str::to_string).collect(),
            warm: word(&words, "warm")?,
            calls: word(&words, "calls")?,
            read_through: flag(&words, "read_through")?,
            storm: flag(&words, "storm")?,
            latency: flag(&words, "latency")?,
        };
        if plan.capacity == 0 {
            return Err("capacity is 0".to_string());
        }
        Ok(plan)
    }

    /// Whether the calls of a thread are timed, or only disturb the first one's.
    fn is_timed(&self, thread_index: usize) -> bool {
        thread_index == 0 || !self.storm
    }
}

// ---- Keys and requests -------------------------------------------------------------------------

/// All keys, each followed by a NUL.
struct KeyPool {
    text: String,
    key_bytes: usize,
}

impl KeyPool {
    fn read(plan: &Plan) -> Outcome<KeyPool> {
        let text = fs::read_to_string(&plan.keys).map_err(|e| format!("{}: {e}", plan.keys))?;
        Ok(KeyPool { text, key_bytes: plan.key_bytes })
    }

    fn at(&self, number: u32) -> Outcome<&str> {
        let start = number as usize * (self.key_bytes + 1);
        let key = self.text.get(start..start + self.key_bytes);
        key.ok_or_else(|| format!("there is no key {number}"))
    }
}

struct Request {
    key: String,
    number: u32,
    is_set: bool,
}

impl Request {
    fn new(word: u32, keys: &KeyPool) -> Outcome<Request> {
        let number = word & 0x7fffffff;
        Ok(Request { key: keys.at(number)?.to_string(), number, is_set: word >> 31 != 0 })
    }
}

/// Reads what a thread is to request, as far as it will come: where it is not timed, all of it.
fn read_requests(plan: &Plan, thread_index: usize, keys: &KeyPool) -> Outcome<Vec<Request>> {
    let file = &plan.sequences[thread_index];
    let bytes = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    let is_timed = plan.is_timed(thread_index);
    let needed = if is_timed { plan.warm.saturating_add(plan.calls) } else { plan.warm };
    if bytes.len() / 4 < needed {
        return Err(format!("{file} has less than {needed} requests"));
    }
    bytes
        .chunks_exact(4)
        .take(if is_timed { needed } else { usize::MAX })
        .map(|word| Request::new(u32::from_le_bytes(word.try_into().unwrap()), keys))
        .collect()
}

// ---- The system --------------------------------------------------------------------------------

/// The cores that the program may use; none where the system does not tell.
fn allowed_cores() -> Vec<usize> {
    // Safety: a cpu_set_t is plain bits, and the kernel writes no more than its size.
    unsafe {
        let mut cores: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, std::mem::size_of_val(&cores), &mut cores) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE as usize).filter(|&core| libc::CPU_ISSET(core, &cores)).collect()
    }
}

/// Pins the calling thread to a core. Where that fails it runs as it runs.
fn pin_thread(thread_index: usize, cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // Safety: as above; the core's number came out of such a set.
    unsafe {
        let mut chosen: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cores[thread_index % cores.len()], &mut chosen);
        libc::sched_setaffinity(0, std::mem::size_of_val(&chosen), &chosen);
    }
}

/// Processor time of the calling thread.
fn thread_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Safety: the kernel writes the timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Involuntary context switches of the calling thread.
fn thread_switches() -> i64 {
    // Safety: a rusage is plain numbers, which the kernel writes.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage.ru_nivcsw as i64
    }
}

/// Resident memory of the process.
fn resident_bytes() -> Outcome<i64> {
    let text = fs::read_to_string("/proc/self/statm").map_err(|e| format!("statm: {e}"))?;
    let pages: Option<i64> = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    // Safety: a call without memory of ours.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as i64;
    Ok(pages.ok_or("statm cannot be read")? * page_bytes)
}

/// Gives back what earlier plans have left with the allocator: a cache that is put into it would
/// seem to take less.
fn trim_memory() {
    // Safety: a call without memory of ours.
    unsafe { libc::malloc_trim(0) };
}

// ---- Calls -------------------------------------------------------------------------------------

#[derive(Default)]
struct Counts {
    hits: u64,
    misses: u64,
    wrong_values: u64,
}

impl Counts {
    fn wrong(&self, plan: &Plan) -> u64 {
        self.wrong_values + if plan.read_through { 0 } else { self.misses }
    }
}

/// What the threads share.
struct Run<'a> {
    plan: &'a Plan,
    cache: &'a Cache,
    template: &'a str,
    cores: &'a [usize],
    barrier: Barrier,
    is_over: AtomicBool, // the storm
}

impl Run<'_> {
    fn set(&self, key: &str, number: u32) {
        self.cache.set(key, make_value(self.template, number), self.plan.ttl);
    }

    /// Makes a call. Returns whether it counts as a set.
    fn call(&self, request: &Request, counts: &mut Counts) -> bool {
        if request.is_set {
            self.set(&request.key, request.number);
            return true;
        }
        if let Some(value) = self.cache.get(&request.key) {
            counts.hits += 1;
            let is_right = is_value_of(&value, self.template.len(), request.number);
            counts.wrong_values += !is_right as u64;
            return false;
        }
        counts.misses += 1;
        if self.plan.read_through {
            self.set(&request.key, request.number);
        }
        self.plan.read_through
    }

    fn call_all(&self, requests: &[Request], counts: &mut Counts) {
        for request in requests {
            self.call(request, counts);
        }
    }

    /// Makes the calls, and times each by itself.
    fn call_each(&self, requests: &[Request], counts: &mut Counts, times: &mut CallTimes) {
        for request in requests {
            let start = Instant::now();
            let is_set = self.call(request, counts);
            let ns = start.elapsed().as_nanos() as u64;
            if is_set { &mut times.set } else { &mut times.get }.push(ns);
        }
    }
}

/// Nanoseconds of the calls that were timed by themselves.
#[derive(Default)]
struct CallTimes {
    get: Vec<u64>,
    set: Vec<u64>,
}

/// The timed calls of a thread.
struct Timed {
    start: Instant,
    end: Instant,
    processor_ns: u64,
    switches: i64,
    counts: Counts,
    times: CallTimes,
}

/// What a thread has to tell.
struct Told {
    wrong: u64,           // of all its calls, the warm ones too
    timed: Option<Timed>, // None where it was only part of the storm
}

// ---- Threads -----------------------------------------------------------------------------------

fn timed_calls(run: &Run, requests: &[Request]) -> Timed {
    let mut counts = Counts::default();
    let mut times = CallTimes::default();
    if run.plan.latency {
        times.get.reserve(requests.len());
        times.set.reserve(requests.len());
    }
    run.barrier.wait();
    let switches = thread_switches();
    let processor_ns = thread_ns();
    let start = Instant::now();
    if run.plan.latency {
        run.call_each(requests, &mut counts, &mut times);
    } else {
        run.call_all(requests, &mut counts);
    }
    let end = Instant::now();
    let processor_ns = thread_ns() - processor_ns;
    let switches = thread_switches() - switches;
    Timed { start, end, processor_ns, switches, counts, times }
}

/// Goes on after the warm calls, and through all requests again and again, until the first thread
/// has ended.
fn storm_calls(run: &Run, requests: &[Request]) -> Counts {
    let mut counts = Counts::default();
    run.barrier.wait();
    for request in requests.iter().cycle().skip(run.plan.warm) {
        if run.is_over.load(Ordering::Relaxed) {
            break;
        }
        run.call(request, &mut counts);
    }
    counts
}

fn run_thread(run: &Run, thread_index: usize, requests: &[Request]) -> Told {
    pin_thread(thread_index, run.cores);
    let mut warm = Counts::default();
    let (first, rest) = requests.split_at(run.plan.warm);
    run.call_all(first, &mut warm);
    let wrong = warm.wrong(run.plan);
    if !run.plan.is_timed(thread_index) {
        // What a storm misses is its own affair.
        let wrong = wrong + storm_calls(run, requests).wrong_values;
        return Told { wrong, timed: None };
    }
    let timed = timed_calls(run, rest);
    run.is_over.store(true, Ordering::Relaxed);
    Told { wrong: wrong + timed.counts.wrong(run.plan), timed: Some(timed) }
}

fn run_threads(run: &Run, requests: &[Vec<Request>]) -> Vec<Told> {
    thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .enumerate()
            .map(|(i, requests)| scope.spawn(move || run_thread(run, i, requests)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

// ---- Answers -----------------------------------------------------------------------------------

/// p50, p99, p99.9 and the largest, separated by commas.
fn percentiles(times: impl Iterator<Item = u64>) -> String {
    let mut sorted: Vec<u64> = times.collect();
    sorted.sort_unstable();
    let at = |permille: usize| match sorted.len() {
        0 => 0,
        count => sorted[(count * permille / 1000).min(count - 1)],
    };
    format!("{},{},{},{}", at(500), at(990), at(999), at(1000))
}

/// The words that tell of the calls.
fn describe(plan: &Plan, told: &[Told]) -> String {
    let timed: Vec<&Timed> = told.iter().filter_map(|told| told.timed.as_ref()).collect();
    let sum = |of: fn(&Timed) -> u64| timed.iter().map(|&timed| of(timed)).sum::<u64>();
    let start = timed.iter().map(|timed| timed.start).min().unwrap();
    let end = timed.iter().map(|timed| timed.end).max().unwrap();
    let mut words = format!(
        "wall_ns={} processor_ns={} hits={} misses={} wrong={}",
        end.duration_since(start).as_nanos(),
        sum(|timed| timed.processor_ns),
        sum(|timed| timed.counts.hits),
        sum(|timed| timed.counts.misses),
        told.iter().map(|told| told.wrong).sum::<u64>()
    );
    if plan.latency {
        words += &format!(
            " get={} set={} switches={}",
            percentiles(timed.iter().flat_map(|timed| timed.times.get.iter().copied())),
            percentiles(timed.iter().flat_map(|timed| timed.times.set.iter().copied())),
            timed.iter().map(|timed| timed.switches).sum::<i64>()
        );
    }
    words
}

/// Does what a line asks for. Returns the answer's words.
fn answer(line: &str, cores: &[usize]) -> Outcome<String> {
    let plan = Plan::parse(line)?;
    let keys = KeyPool::read(&plan)?;
    let template = ".".repeat(plan.value_bytes);

    trim_memory();
    let bytes_before = resident_bytes()?;
    let cache = Cache::new(plan.capacity);
    for number in 0..plan.fill {
        cache.set(keys.at(number)?, make_value(&template, number), plan.ttl);
    }
    let memory_bytes = resident_bytes()? - bytes_before;

    let requests = (0..plan.sequences.len())
        .map(|i| read_requests(&plan, i, &keys))
        .collect::<Outcome<Vec<_>>>()?;
    let run = Run {
        plan: &plan,
        cache: &cache,
        template: &template,
        cores,
        barrier: Barrier::new(requests.len()),
        is_over: AtomicBool::new(false),
    };
    let told = run_threads(&run, &requests);
    let words = describe(&plan, &told);
    Ok(format!("{words} size={} memory_bytes={memory_bytes}", cache.len()))
}

/// The version of the map, as cargo has found it.
fn map_version() -> &'static str {
    let found = include_str!("Cargo.lock").split_once("name = \"dashmap\"\nversion = \"");
    found.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
}

fn main() -> io::Result<()> {
    let cores = allowed_cores();
    let mut output = io::stdout();
    let version = map_version();
    writeln!(output, "ready name=first-version version=dashmap-{version} evicts=1 expires=1")?;
    for line in io::stdin().lock().lines() {
        match answer(&line?, &cores) {
            Ok(words) => writeln!(output, "ok {words}")?,
            Err(text) => writeln!(output, "error {text}")?,
        }
    }
    Ok(())
}
