// The program of a subject that is written in Go: reads plans, makes their calls on the cache of
// the subject, which is one more file beside this one, and answers; the protocol is in
// bench/README.md.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The version of what is measured, which the linker is told: -X main.version=...
var version = "unknown"

// What a subject is. Its file has one by the name of subject.
type description struct {
	name      string
	expires   bool // it has TTLs
	dropsSets bool // a set that is refused is no fault
	create    func(capacity int64, ttl time.Duration) (cache, error)
}

type cache interface {
	get(key string) (value []byte, isHit bool)
	set(key string, value []byte) (isStored bool)
	settle()     // returns when what was set before is where gets find it
	size() int64 // entries; -1: they are to be counted by gets
	close()
}

func main() {
	expires := 0
	if subject.expires {
		expires = 1
	}
	fmt.Printf("ready name=%s version=%s evicts=1 expires=%d\n", subject.name, version, expires)
	plans := bufio.NewScanner(os.Stdin)
	for plans.Scan() {
		fmt.Println(answer(plans.Text()))
	}
}

func answer(line string) string {
	var r run
	defer r.close()
	err := r.plan.parse(line)
	if err == nil {
		err = r.prepare()
	}
	if err == nil {
		err = r.createAndFill()
	}
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	r.runThreads()
	return r.describe()
}

// ---- Plans ----------------------------------------------------------------------------------

type plan struct {
	keys                             string
	sequences                        []string
	keyBytes, valueBytes             int
	capacity                         int64
	fill                             int
	ttl                              time.Duration
	warm, calls                      int
	isReadThrough, isStorm, isTiming bool
}

// The words of a line by their names, and the first name that was missed or had no number.
type words struct {
	values map[string]string
	bad    string
}

func (w *words) text(name string) string {
	value, isThere := w.values[name]
	if !isThere && w.bad == "" {
		w.bad = name
	}
	return value
}

func (w *words) number(name string) int {
	number, err := strconv.ParseUint(w.text(name), 10, 62)
	if err != nil && w.bad == "" {
		w.bad = name
	}
	return int(number)
}

func splitWords(line string) words {
	w := words{values: map[string]string{}}
	for _, word := range strings.Fields(line) {
		if name, value, isWord := strings.Cut(word, "="); isWord {
			w.values[name] = value
		}
	}
	return w
}

func (p *plan) parse(line string) error {
	w := splitWords(line)
	*p = plan{
		keys:          w.text("keys"),
		sequences:     strings.Split(w.text("sequences"), ","),
		keyBytes:      w.number("key_bytes"),
		valueBytes:    w.number("value_bytes"),
		capacity:      int64(w.number("capacity")),
		fill:          w.number("fill"),
		ttl:           time.Duration(w.number("ttl_ms")) * time.Millisecond,
		warm:          w.number("warm"),
		calls:         w.number("calls"),
		isReadThrough: w.number("read_through") != 0,
		isStorm:       w.number("storm") != 0,
		isTiming:      w.number("latency") != 0,
	}
	switch {
	case w.bad != "":
		return errors.New("no " + w.bad)
	case p.keyBytes < 16 || p.valueBytes < 16:
		return errors.New("keys or values are too short")
	case p.calls == 0:
		return errors.New("no calls")
	}
	return nil
}

// Threads that are timed.
func (p *plan) timedThreads() int {
	if p.isStorm {
		return 1
	}
	return len(p.sequences)
}

// ---- Keys and values ------------------------------------------------------------------------

// Keys of one length, with a NUL after each. A key is a part of the text, as large as a string of
// its own is to its caller; but the collector need not look at every one of them.
type keys struct {
	text string
	step int
}

func (k *keys) count() int {
	return len(k.text) / k.step
}

func (k *keys) at(i int) string {
	return k.text[i*k.step : (i+1)*k.step-1]
}

const (
	isSet      = 1 << 31 // in a word of a sequence
	numberMask = isSet - 1
)

// The calls of one thread: each one's key lies ready, in the order of the calls.
type sequence struct {
	words []uint32
	keys  keys
	took  []uint32 // when it is timed: ns of each call, a bit to the left, and tookSet
}

const tookSet = 1

func (s *sequence) read(name string, p *plan, all *keys) error {
	bytes, err := os.ReadFile(name)
	length := p.warm + p.calls
	if err == nil && len(bytes)/4 < length {
		err = errors.New("a sequence is too short")
	}
	if err != nil {
		return err
	}
	s.words = make([]uint32, length)
	if p.isTiming {
		s.took = make([]uint32, length)
	}
	for i := range s.words {
		s.words[i] = binary.LittleEndian.Uint32(bytes[4*i:])
	}
	return s.layOutKeys(all)
}

func (s *sequence) layOutKeys(all *keys) error {
	var text strings.Builder
	text.Grow(len(s.words) * all.step)
	for _, word := range s.words {
		number := int(word & numberMask)
		if number >= all.count() {
			return errors.New("a key that is not there")
		}
		text.WriteString(all.at(number))
		text.WriteByte(0)
	}
	s.keys = keys{text.String(), all.step}
	return nil
}

// Makes values of one length, and tells whether a value is a key's. In which order the bytes of
// the words lie makes no difference here: nobody else reads them.
type values struct {
	dots         []byte
	middle, last int
}

func newValues(valueBytes int) values {
	v := values{dots: make([]byte, valueBytes), middle: valueBytes/2 - 4, last: valueBytes - 8}
	for i := range v.dots {
		v.dots[i] = '.'
	}
	if valueBytes < 24 {
		v.middle = v.last // short ones have two words
	}
	return v
}

func (v *values) make(number uint32) []byte {
	value := make([]byte, len(v.dots))
	copy(value, v.dots)
	word := valueWord(number)
	binary.LittleEndian.PutUint64(value, word)
	binary.LittleEndian.PutUint64(value[v.middle:], word)
	binary.LittleEndian.PutUint64(value[v.last:], word)
	return value
}

func (v *values) isOf(value []byte, number uint32) bool {
	word := valueWord(number)
	first := binary.LittleEndian.Uint64(value)
	middle := binary.LittleEndian.Uint64(value[v.middle:])
	last := binary.LittleEndian.Uint64(value[v.last:])
	return (first^word)|(middle^word)|(last^word) == 0
}

func valueWord(number uint32) uint64 {
	return mix(uint64(number))&0x0f0f0f0f0f0f0f0f | 0x4040404040404040
}

func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// ---- One plan -------------------------------------------------------------------------------

// What the threads of a plan share.
type run struct {
	plan        plan
	values      values
	keys        keys
	cache       cache
	workers     []*worker
	memoryBytes int64
	start       sync.WaitGroup // a barrier: each thread is done with its warm calls
	end         sync.WaitGroup
	isStormOver int32
}

func (r *run) prepare() error {
	text, err := os.ReadFile(r.plan.keys)
	if err != nil {
		return err
	}
	r.keys = keys{string(text), r.plan.keyBytes + 1}
	r.values = newValues(r.plan.valueBytes)
	if r.plan.fill > r.keys.count() {
		return errors.New("a key that is not there")
	}
	for i, name := range r.plan.sequences {
		w := &worker{run: r, index: i}
		if err := w.calls.read(name, &r.plan, &r.keys); err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	return nil
}

func (r *run) createAndFill() (err error) {
	before := heapBytes()
	if r.cache, err = subject.create(r.plan.capacity, r.plan.ttl); err != nil {
		return err
	}
	for number := 0; number < r.plan.fill; number++ {
		key := strings.Clone(r.keys.at(number)) // which the cache may keep
		for !r.cache.set(key, r.values.make(uint32(number))) {
			r.cache.settle()
		}
	}
	r.cache.settle()
	r.memoryBytes = heapBytes() - before
	return nil
}

// What is left after a collection. The first one leaves what pools have put aside.
func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func (r *run) close() {
	if r.cache != nil {
		r.cache.close()
	}
}

var usualProcessors = runtime.GOMAXPROCS(0)

func (r *run) runThreads() {
	count := len(r.workers)
	runtime.GOMAXPROCS(maximum(usualProcessors, count))
	r.start.Add(count)
	r.end.Add(count)
	for _, w := range r.workers {
		go w.work()
	}
	r.end.Wait()
	runtime.GOMAXPROCS(usualProcessors)
}

func maximum(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// ---- Answers --------------------------------------------------------------------------------

func (r *run) describe() string {
	timed := r.workers[:r.plan.timedThreads()]
	start, end, processor := int64(math.MaxInt64), int64(0), int64(0)
	var sum tally
	for _, w := range r.workers {
		sum.wrong += w.warm.wrong
	}
	for _, w := range timed {
		sum.add(&w.timed)
		processor += w.processor
		if w.start < start {
			start = w.start
		}
		if w.end > end {
			end = w.end
		}
	}
	return fmt.Sprintf("ok wall_ns=%d processor_ns=%d hits=%d misses=%d wrong=%d size=%d"+
		" memory_bytes=%d%s", end-start, processor, sum.hits, sum.misses, sum.wrong, r.size(),
		r.memoryBytes, r.describeLatency(timed))
}

func (r *run) describeLatency(timed []*worker) string {
	if !r.plan.isTiming {
		return ""
	}
	switches := int64(0)
	for _, w := range timed {
		switches += w.switches
	}
	return fmt.Sprintf(" get=%s set=%s switches=%d", quantiles(timed, 0),
		quantiles(timed, tookSet), switches)
}

// The p50, p99, p99.9 and the largest of what calls of one kind took.
func quantiles(timed []*worker, kind uint32) string {
	var sorted []uint32
	for _, w := range timed {
		for _, took := range w.calls.took[w.run.plan.warm:] {
			if took&1 == kind {
				sorted = append(sorted, took>>1)
			}
		}
	}
	if len(sorted) == 0 {
		return "0,0,0,0"
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	at := func(share float64) uint32 {
		i := int(share * float64(len(sorted)))
		return sorted[minimum(i, len(sorted)-1)]
	}
	return fmt.Sprintf("%d,%d,%d,%d", at(0.5), at(0.99), at(0.999), at(1))
}

func minimum(a, b int) int {
	return a + b - maximum(a, b)
}

func (r *run) size() int64 {
	r.cache.settle()
	size := r.cache.size()
	if size >= 0 {
		return size
	}
	size = 0
	for i := 0; i < r.keys.count(); i++ {
		if _, isHit := r.cache.get(r.keys.at(i)); isHit {
			size++
		}
	}
	return size
}

// ---- Threads --------------------------------------------------------------------------------

type tally struct {
	hits, misses, wrong int64
}

func (t *tally) add(other *tally) {
	t.hits += other.hits
	t.misses += other.misses
	t.wrong += other.wrong
}

type worker struct {
	run                   *run
	index                 int
	calls                 sequence
	warm, timed           tally
	start, end, processor int64 // ns
	switches              int64
}

func (w *worker) work() {
	runtime.LockOSThread() // and never unlocked: the pinned thread ends with this function
	pinThread(w.index)
	plan := &w.run.plan
	w.warm = w.makeCalls(0, plan.warm)
	w.run.start.Done()
	w.run.start.Wait()
	if w.index < plan.timedThreads() {
		w.makeTimedCalls()
	} else {
		w.makeStorm()
	}
	w.run.end.Done()
}

func (w *worker) makeTimedCalls() {
	plan := &w.run.plan
	switches, processor := contextSwitches(), processorTime()
	w.start = now()
	w.timed = w.makeCalls(plan.warm, plan.warm+plan.calls)
	w.end = now()
	w.processor = processorTime() - processor
	w.switches = contextSwitches() - switches
	if plan.isStorm {
		atomic.StoreInt32(&w.run.isStormOver, 1)
	}
}

// Its part of a storm: everything again and again, until the first thread has ended.
func (w *worker) makeStorm() {
	var own tally // what it misses is its own affair
	for i := w.run.plan.warm; atomic.LoadInt32(&w.run.isStormOver) == 0; i++ {
		if i == len(w.calls.words) {
			i = 0
		}
		w.makeCall(i, &own)
	}
}

// The tally lies on the thread's own stack while it is counted in.
func (w *worker) makeCalls(from, to int) tally {
	var t tally
	if w.run.plan.isTiming {
		w.timeCalls(from, to, &t)
		return t
	}
	for i := from; i < to; i++ {
		w.makeCall(i, &t)
	}
	return t
}

func (w *worker) timeCalls(from, to int, t *tally) {
	for i := from; i < to; i++ {
		before := now()
		kind := w.makeCall(i, t)
		took := now() - before
		if took > math.MaxInt32 {
			took = math.MaxInt32
		}
		w.calls.took[i] = uint32(took)<<1 | kind
	}
}

// Makes a call. Returns tookSet if the key was set, for whatever reason, otherwise 0.
func (w *worker) makeCall(i int, t *tally) uint32 {
	word, key := w.calls.words[i], w.calls.keys.at(i)
	number := word & numberMask
	if word&isSet != 0 {
		w.set(key, number, t)
		return tookSet
	}
	value, isHit := w.run.cache.get(key)
	if !isHit {
		return w.miss(key, number, t)
	}
	t.hits++
	if !w.run.values.isOf(value, number) {
		t.wrong++
	}
	return 0
}

func (w *worker) miss(key string, number uint32, t *tally) uint32 {
	t.misses++
	if !w.run.plan.isReadThrough {
		t.wrong++
		return 0
	}
	w.set(key, number, t)
	return tookSet
}

func (w *worker) set(key string, number uint32, t *tally) {
	isStored := w.run.cache.set(key, w.run.values.make(number))
	if !isStored && !subject.dropsSets {
		t.wrong++
	}
}

// ---- Time, and the calling thread -----------------------------------------------------------

var epoch = time.Now()

func now() int64 {
	return int64(time.Since(epoch))
}

// One bit for each core, enough for 1024 of them.
type coreMask [16]uint64

var allowedCores = listAllowedCores()

func listAllowedCores() (cores []int) {
	var mask coreMask
	_, _, failure := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask),
		uintptr(unsafe.Pointer(&mask)))
	for core := 0; failure == 0 && core < 64*len(mask); core++ {
		if mask[core/64]>>(core%64)&1 != 0 {
			cores = append(cores, core)
		}
	}
	return cores
}

// Pins the thread to the core of its number among the allowed ones; where that fails it runs as it
// runs.
func pinThread(index int) {
	if len(allowedCores) == 0 {
		return
	}
	core := allowedCores[index%len(allowedCores)]
	var mask coreMask
	mask[core/64] = 1 << (core % 64)
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask),
		uintptr(unsafe.Pointer(&mask)))
}

// Of the thread, in ns.
func processorTime() int64 {
	const clockOfThread = 3 // CLOCK_THREAD_CPUTIME_ID
	var time syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockOfThread, uintptr(unsafe.Pointer(&time)), 0)
	return time.Nano()
}

// Involuntary ones of the thread.
func contextSwitches() int64 {
	const usageOfThread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	if syscall.Getrusage(usageOfThread, &usage) != nil {
		return 0
	}
	return usage.Nivcsw
}
