import java.io.*;
import java.nio.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

/** Work for Java's own native code; prints sums. */
public class Work {
    static native ByteBuffer take(int size);
    static native int give(ByteBuffer block);
    static native String[] words(int count);

    static long sum(byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return crc.getValue();
    }

    static void compress() throws Exception {
        byte[] text = IntStream.range(0, 60000).mapToObj(i -> "line " + i % 997)
            .collect(Collectors.joining("\n")).getBytes();
        for (int level = 1; level < 10; level += 4) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            Deflater deflater = new Deflater(level);
            try (OutputStream zip = new DeflaterOutputStream(out, deflater)) {
                zip.write(text);
            }
            deflater.end();
            byte[] back = new InflaterInputStream(
                new ByteArrayInputStream(out.toByteArray())).readAllBytes();
            System.out.println(sum(out.toByteArray()) + " "
                + Arrays.equals(back, text));
        }
    }

    static void buffers() {
        long total = 0;
        List<ByteBuffer> live = new ArrayList<>();
        for (int i = 0; i < 4000; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 + i * 37 % 40000);
            buffer.put(0, (byte) i);
            live.add(buffer);
            if (live.size() > 200) {
                total += live.remove(i % 200).get(0);
            }
        }
        System.out.println(total);
    }

    static void natives() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(6);
        Queue<ByteBuffer> shared = new ConcurrentLinkedQueue<>();
        List<Future<Long>> sums = new ArrayList<>();
        for (int t = 0; t < 12; t++) {
            int start = t;
            sums.add(pool.submit(() -> {
                long total = 0;
                for (int i = 0; i < 2000; i++) {
                    shared.add(take(1 + (i * 31 + start) % 3000));
                    ByteBuffer other = shared.poll();
                    if (other != null) {
                        total += give(other);
                    }
                }
                return total;
            }));
        }
        long total = 0;
        for (Future<Long> sum : sums) {
            total += sum.get();
        }
        pool.shutdown();
        while (!shared.isEmpty()) {
            total += give(shared.poll());
        }
        System.out.println(total + " " + String.join(",", words(2000)).hashCode());
    }

    static void threads() throws Exception {
        long total = 0;
        for (int round = 0; round < 20; round++) {
            List<Thread> all = new ArrayList<>();
            long[] results = new long[10];
            for (int t = 0; t < 10; t++) {
                int n = t;
                Thread thread = new Thread(() -> results[n] = IntStream
                    .range(0, 3000).mapToObj(i -> "t" + n + i).sorted()
                    .collect(Collectors.joining()).hashCode());
                thread.start();
                all.add(thread);
            }
            for (Thread thread : all) {
                thread.join();
            }
            total += LongStream.of(results).sum();
        }
        System.out.println(total);
    }

    static void files() throws Exception {
        Path path = Files.createTempFile("work", ".zip");
        try (ZipOutputStream zip = new ZipOutputStream(
                Files.newOutputStream(path))) {
            for (int i = 0; i < 300; i++) {
                zip.putNextEntry(new ZipEntry("entry" + i));
                zip.write("text ".repeat(i * 3).getBytes());
            }
        }
        long total = 0;
        try (ZipFile zip = new ZipFile(path.toFile())) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                total += zip.getInputStream(entry).readAllBytes().length;
            }
        }
        Files.delete(path);
        Process child = new ProcessBuilder("echo", "a child").start();
        System.out.println(total + " "
            + new String(child.getInputStream().readAllBytes()).trim());
    }

    public static void main(String[] arguments) throws Exception {
        System.loadLibrary("work");
        compress();
        buffers();
        natives();
        threads();
        files();
        Map<String, List<Integer>> groups = IntStream.range(0, 200000).boxed()
            .parallel().collect(Collectors.groupingByConcurrent(i -> "k" + i % 991));
        System.out.println(groups.size());
    }
}
