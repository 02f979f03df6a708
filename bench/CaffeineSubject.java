import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryType;
import java.lang.management.ThreadMXBean;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Phaser;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The program of the subject caffeine: reads plans, makes their calls on a cache of Caffeine, and
 * answers; the protocol is in bench/README.md.
 */
public final class CaffeineSubject {
    private CaffeineSubject() {}

    public static void main(String[] arguments) throws IOException {
        System.out.println("ready name=caffeine version=" + version() + " evicts=1 expires=1");
        BufferedReader plans = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = plans.readLine(); line != null; line = plans.readLine()) {
            System.out.println(answer(line));
        }
    }

    private static String answer(String line) {
        try {
            return new Run(Plan.parse(line)).answer();
        } catch (Exception | OutOfMemoryError e) {
            return "error " + e.toString().replace('\n', ' ');
        }
    }

    /** The jar's manifest does not tell it; its name does, as in caffeine-2.6.2.jar. */
    private static String version() {
        try {
            Path jar = Path.of(Caffeine.class.getProtectionDomain().getCodeSource().getLocation()
                    .toURI()).toRealPath();
            Matcher name = Pattern.compile("caffeine-(.*)\\.jar").matcher(
                    jar.getFileName().toString());
            return name.matches() ? name.group(1) : "unknown";
        } catch (Exception e) {
            return "unknown";
        }
    }

    // ---- Plans ----------------------------------------------------------------------------------

    private record Plan(String keys, List<String> sequences, int keyBytes, int valueBytes,
            long capacity, int fill, long ttlMillis, int warm, int calls, boolean readThrough,
            boolean storm, boolean latency, boolean prompt) {

        static Plan parse(String line) {
            Words words = new Words(line);
            Plan plan = new Plan(words.text("keys"), List.of(words.text("sequences").split(",")),
                    words.number("key_bytes"), words.number("value_bytes"),
                    words.number("capacity"), words.number("fill"), words.number("ttl_ms"),
                    words.number("warm"), words.number("calls"), words.flag("read_through"),
                    words.flag("storm"), words.flag("latency"), words.flag("prompt"));
            if (plan.keyBytes < 16 || plan.valueBytes < 16) {
                throw new IllegalArgumentException("keys or values are too short");
            }
            if (plan.calls == 0) {
                throw new IllegalArgumentException("no calls");
            }
            return plan;
        }

        int length() {
            return Math.addExact(warm, calls);
        }

        /** Threads that are timed. */
        int timedThreads() {
            return storm ? 1 : sequences.size();
        }
    }

    /** The name=value words of a line. */
    private static final class Words {
        private final Map<String, String> values = new HashMap<>();

        Words(String line) {
            for (String word : line.trim().split(" +")) {
                int equals = word.indexOf('=');
                if (equals > 0) {
                    values.put(word.substring(0, equals), word.substring(equals + 1));
                }
            }
        }

        String text(String name) {
            String value = values.get(name);
            if (value == null) {
                throw new IllegalArgumentException("no " + name);
            }
            return value;
        }

        int number(String name) {
            return Integer.parseUnsignedInt(text(name));
        }

        boolean flag(String name) {
            return number(name) != 0;
        }
    }

    // ---- Keys and values ------------------------------------------------------------------------

    /** The text of all keys, with a NUL after each. */
    private static final class Keys {
        private final byte[] text;
        private final int keyBytes;

        Keys(Plan plan) throws IOException {
            text = Files.readAllBytes(Path.of(plan.keys()));
            keyBytes = plan.keyBytes();
        }

        /** A new string each time, whose hash code has not been asked for. */
        String get(int number) {
            long start = (long) number * (keyBytes + 1);
            if (start + keyBytes > text.length) {
                throw new IllegalArgumentException("a key that is not there");
            }
            return new String(text, (int) start, keyBytes, StandardCharsets.ISO_8859_1);
        }
    }

    /** The calls of one thread: each one's key lies ready, in the order of the calls. */
    private static final class Calls {
        static final int NUMBER = 0x7fffffff; // of a word, which is negative where the key is set
        static final int TOOK_GET = 0;        // the lowest bit of what a call took
        static final int TOOK_SET = 1;

        final int[] words;
        final String[] keys;
        final int[] took; // with latency: ns of each call, a bit to the left

        Calls(Path sequence, Plan plan, Keys all) throws IOException {
            words = read(sequence, plan.length());
            keys = new String[plan.length()];
            took = new int[plan.latency() ? plan.length() : 0];
            for (int i = 0; i < keys.length; i++) {
                keys[i] = all.get(words[i] & NUMBER);
            }
        }

        void setTook(int call, long nanos, boolean isSet) {
            int kept = (int) Math.min(nanos, Integer.MAX_VALUE);
            took[call] = kept << 1 | (isSet ? TOOK_SET : TOOK_GET);
        }

        private static int[] read(Path sequence, int length) throws IOException {
            try (FileChannel file = FileChannel.open(sequence)) {
                IntBuffer from = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size())
                        .order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
                if (from.remaining() < length) {
                    throw new IllegalArgumentException("a sequence is too short");
                }
                int[] words = new int[length];
                from.get(words);
                return words;
            }
        }
    }

    /** Makes values of one length, and tells whether a value is a key's. */
    private static final class Values {
        private static final VarHandle WORD = MethodHandles.byteArrayViewVarHandle(
                long[].class, ByteOrder.nativeOrder());

        private final byte[] dots;
        private final int middle;
        private final int last;

        Values(int valueBytes) {
            dots = new byte[valueBytes];
            Arrays.fill(dots, (byte) '.');
            last = valueBytes - 8;
            middle = valueBytes < 24 ? last : valueBytes / 2 - 4; // short ones have two words
        }

        byte[] make(int number) {
            long word = word(number);
            byte[] value = dots.clone();
            WORD.set(value, 0, word);
            WORD.set(value, middle, word);
            WORD.set(value, last, word);
            return value;
        }

        boolean isOf(byte[] value, int number) {
            long word = word(number);
            return (((long) WORD.get(value, 0) ^ word) | ((long) WORD.get(value, middle) ^ word)
                    | ((long) WORD.get(value, last) ^ word)) == 0;
        }

        private static long word(long number) {
            return (mix(number) & 0x0f0f0f0f0f0f0f0fL) | 0x4040404040404040L;
        }

        private static long mix(long number) {
            number += 0x9e3779b97f4a7c15L;
            number = (number ^ number >>> 30) * 0xbf58476d1ce4e5b9L;
            number = (number ^ number >>> 27) * 0x94d049bb133111ebL;
            return number ^ number >>> 31;
        }
    }

    // ---- One plan -------------------------------------------------------------------------------

    /** What the threads of a plan share. */
    private static final class Run {
        final Plan plan;
        final Values values;
        final Cache<String, byte[]> cache;
        final Phaser start;
        volatile boolean stormIsOver;

        private final List<Calls> calls = new ArrayList<>();
        private final List<Worker> workers = new ArrayList<>();
        private final long memoryBytes;

        Run(Plan plan) throws IOException {
            this.plan = plan;
            values = new Values(plan.valueBytes());
            start = new Phaser(plan.sequences().size());
            Keys keys = new Keys(plan);
            for (String sequence : plan.sequences()) {
                calls.add(new Calls(Path.of(sequence), plan, keys));
            }
            long before = usedHeap();
            cache = createCache();
            fillCache(keys);
            memoryBytes = usedHeap() - before;
        }

        private Cache<String, byte[]> createCache() {
            Caffeine<Object, Object> builder = Caffeine.newBuilder().maximumSize(plan.capacity());
            if (plan.ttlMillis() > 0) {
                builder.expireAfterWrite(plan.ttlMillis(), TimeUnit.MILLISECONDS);
            }
            if (plan.prompt()) {
                builder.executor(Runnable::run);
            }
            return builder.build();
        }

        private void fillCache(Keys keys) {
            for (int number = 0; number < plan.fill(); number++) {
                cache.put(keys.get(number), values.make(number));
            }
            cache.cleanUp();
        }

        /** As it was right after a collection: later, room that threads reserve counts as used. */
        private static long usedHeap() {
            System.gc();
            return ManagementFactory.getMemoryPoolMXBeans().stream()
                    .filter(pool -> pool.getType() == MemoryType.HEAP)
                    .mapToLong(pool -> pool.getCollectionUsage().getUsed()).sum();
        }

        String answer() throws InterruptedException {
            startHelpers();
            for (Calls one : calls) {
                workers.add(new Worker(this, workers.size(), one));
            }
            for (Worker worker : workers) {
                worker.start();
            }
            for (Worker worker : workers) {
                worker.join();
            }
            for (Worker worker : workers) {
                worker.throwFailure();
            }
            cache.cleanUp();
            return describe(workers.subList(0, plan.timedThreads()));
        }

        /**
         * Starts the threads of the pool that Caffeine leaves its housekeeping to. A thread may run
         * where the one that starts it may: these shall not be started by one that is pinned.
         */
        private static void startHelpers() throws InterruptedException {
            CountDownLatch started = new CountDownLatch(ForkJoinPool.getCommonPoolParallelism());
            for (long i = started.getCount(); i > 0; i--) {
                ForkJoinPool.commonPool().execute(() -> {
                    started.countDown();
                    awaitQuietly(started); // so that the next one needs another thread
                });
            }
            started.await();
        }

        private static void awaitQuietly(CountDownLatch latch) {
            try {
                latch.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private String describe(List<Worker> timed) {
            long start = timed.stream().mapToLong(worker -> worker.start).min().orElseThrow();
            long end = timed.stream().mapToLong(worker -> worker.end).max().orElseThrow();
            Tally sum = new Tally();
            timed.forEach(worker -> sum.add(worker.timed));
            workers.forEach(worker -> sum.wrong += worker.warm.wrong);
            String answer = "ok wall_ns=" + (end - start)
                    + " processor_ns=" + timed.stream().mapToLong(worker -> worker.processor).sum()
                    + " hits=" + sum.hits + " misses=" + sum.misses + " wrong=" + sum.wrong
                    + " size=" + cache.estimatedSize() + " memory_bytes=" + memoryBytes;
            return plan.latency() ? answer + describeLatency(timed) : answer;
        }

        private static String describeLatency(List<Worker> timed) {
            boolean known = timed.stream().allMatch(worker -> worker.switches >= 0);
            return " get=" + quantiles(timed, Calls.TOOK_GET)
                    + " set=" + quantiles(timed, Calls.TOOK_SET) + " switches="
                    + (known ? timed.stream().mapToLong(worker -> worker.switches).sum() : -1);
        }

        /** The p50, p99, p99.9 and the largest of what calls of one kind took. */
        private static String quantiles(List<Worker> timed, int kind) {
            int[] sorted = timed.stream().flatMapToInt(Worker::took)
                    .filter(took -> (took & 1) == kind).map(took -> took >>> 1).sorted().toArray();
            StringBuilder text = new StringBuilder();
            for (double share : new double[] {0.5, 0.99, 0.999, 1}) {
                int at = Math.min((int) (share * sorted.length), sorted.length - 1);
                text.append(text.isEmpty() ? "" : ",").append(at < 0 ? 0 : sorted[at]);
            }
            return text.toString();
        }
    }

    private static final class Tally {
        long hits;
        long misses;
        long wrong;

        void add(Tally other) {
            hits += other.hits;
            misses += other.misses;
            wrong += other.wrong;
        }
    }

    // ---- Threads --------------------------------------------------------------------------------

    private static final class Worker extends Thread {
        /**
         * Calls of one invocation: a method that is invoked often is compiled as a whole, and one
         * that goes on and on is replaced within its loop, by code that may be worse.
         */
        private static final int CHUNK = 256;

        private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

        final Tally warm = new Tally();
        final Tally timed = new Tally();
        long start;
        long end;
        long processor;
        long switches;

        private final Run run;
        private final Plan plan;
        private final int index;
        private final Calls calls;
        private Throwable failure;

        Worker(Run run, int index, Calls calls) {
            this.run = run;
            this.plan = run.plan;
            this.index = index;
            this.calls = calls;
        }

        @Override
        public void run() {
            try {
                Linux.pinThread(index);
                makeCalls(0, plan.warm(), warm);
                run.start.arriveAndAwaitAdvance();
                if (index < plan.timedThreads()) {
                    makeTimedCalls();
                } else {
                    makeStorm();
                }
            } catch (Throwable e) {
                failure = e;
                run.start.arriveAndDeregister(); // the others shall not wait for it
            } finally {
                if (index == 0) {
                    run.stormIsOver = true;
                }
            }
        }

        void throwFailure() {
            if (failure != null) {
                throw new IllegalStateException(failure);
            }
        }

        IntStream took() {
            return Arrays.stream(calls.took, plan.warm(), plan.length());
        }

        private void makeTimedCalls() {
            long switchesBefore = plan.latency() ? Linux.countSwitches() : 0;
            long processorBefore = THREADS.getCurrentThreadCpuTime();
            start = System.nanoTime();
            makeCalls(plan.warm(), plan.length(), timed);
            end = System.nanoTime();
            processor = THREADS.getCurrentThreadCpuTime() - processorBefore;
            long switchesAfter = plan.latency() ? Linux.countSwitches() : 0;
            boolean known = switchesBefore >= 0 && switchesAfter >= 0;
            switches = known ? switchesAfter - switchesBefore : -1;
        }

        /** Its part of a storm: everything again and again, until the first thread has ended. */
        private void makeStorm() {
            int at = plan.warm();
            while (!run.stormIsOver) {
                int chunkEnd = Math.min(at + CHUNK, plan.length());
                makeChunk(at, chunkEnd); // what it misses is its own affair
                at = chunkEnd < plan.length() ? chunkEnd : 0;
            }
        }

        private void makeCalls(int from, int to, Tally sum) {
            for (int at = from; at < to; at += CHUNK) {
                int chunkEnd = Math.min(at + CHUNK, to);
                sum.add(plan.latency() ? timeChunk(at, chunkEnd) : makeChunk(at, chunkEnd));
            }
        }

        private Tally makeChunk(int from, int to) {
            Tally tally = new Tally();
            for (int i = from; i < to; i++) {
                makeCall(i, tally);
            }
            return tally;
        }

        private Tally timeChunk(int from, int to) {
            Tally tally = new Tally();
            for (int i = from; i < to; i++) {
                long before = System.nanoTime();
                boolean isSet = makeCall(i, tally);
                calls.setTook(i, System.nanoTime() - before, isSet);
            }
            return tally;
        }

        /** Returns whether the key was set, for whatever reason. */
        private boolean makeCall(int i, Tally tally) {
            int number = calls.words[i] & Calls.NUMBER;
            if (calls.words[i] < 0) {
                run.cache.put(calls.keys[i], run.values.make(number));
                return true;
            }
            byte[] value = run.cache.getIfPresent(calls.keys[i]);
            if (value == null) {
                return miss(i, number, tally);
            }
            tally.hits++;
            if (!run.values.isOf(value, number)) {
                tally.wrong++;
            }
            return false;
        }

        private boolean miss(int i, int number, Tally tally) {
            tally.misses++;
            if (plan.readThrough()) {
                run.cache.put(calls.keys[i], run.values.make(number));
            } else {
                tally.wrong++;
            }
            return plan.readThrough();
        }
    }

    // ---- The calling thread, as Linux has it ----------------------------------------------------

    private static final class Linux {
        private static final Path THREAD = Path.of("/proc/thread-self");
        private static final int[] ALLOWED_CORES = allowedCores();

        private Linux() {}

        /** Pins it to the core of that number among the allowed ones; or it runs as it runs. */
        static void pinThread(int index) {
            if (ALLOWED_CORES.length == 0) {
                return;
            }
            int core = ALLOWED_CORES[index % ALLOWED_CORES.length];
            try {
                String thread = Files.readSymbolicLink(THREAD).getFileName().toString();
                new ProcessBuilder("taskset", "-pc", Integer.toString(core), thread)
                        .redirectOutput(Redirect.DISCARD).redirectError(Redirect.DISCARD)
                        .start().waitFor();
            } catch (IOException e) {
                // There is no taskset, or no /proc.
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        /** Its involuntary context switches; -1 where that cannot be told. */
        static long countSwitches() {
            String count = status("nonvoluntary_ctxt_switches");
            return count.isEmpty() ? -1 : Long.parseLong(count);
        }

        /** Of a list such as 0-3,8. */
        private static int[] allowedCores() {
            String list = status("Cpus_allowed_list");
            if (list.isEmpty()) {
                return new int[0];
            }
            return Arrays.stream(list.split(",")).flatMapToInt(part -> {
                String[] ends = part.split("-");
                return IntStream.rangeClosed(Integer.parseInt(ends[0]),
                        Integer.parseInt(ends[ends.length - 1]));
            }).toArray();
        }

        /** What a line of the thread's status says; nothing where there is none. */
        private static String status(String name) {
            try (Stream<String> lines = Files.lines(THREAD.resolve("status"))) {
                return lines.filter(line -> line.startsWith(name + ":"))
                        .map(line -> line.substring(name.length() + 1).trim())
                        .findFirst().orElse("");
            } catch (IOException | UncheckedIOException e) {
                return "";
            }
        }
    }
}
