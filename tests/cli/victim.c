/*
 * victim.c - programs whose memory is large for a known reason.
 *
 *   leak        forgets 400,000 blocks of 96 bytes
 *   fragmented  frees all but every 16th of 1,000,000 small blocks, those of
 *               each size alike
 *   chunks      frees two of three of 50,000 blocks that have headers
 *   peak        frees everything, but for a block at the end
 *   threads     200 threads that have freed what they had, and wait
 *   small       a bit of everything, in little memory
 *   busy        four threads that never stop to allocate and free
 *   alone       one that does not, before its input ends
 *   pages       the same, with one block at a time, of 4,000 bytes
 *   sender      one that has freed another's, which nobody fetches
 *   closed      fills a heap but for 32 bytes, and begins another
 *   trimmed     has a block or two, and gives back all that it can
 *   overflow    writes behind the end of a block
 *
 * Says "ready" when it is as large as it will be; ends when its input does. Any
 * line of input makes it large: one MiB of memory is mapped 1,100 times, so
 * that the kernel counts more than a GiB.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    blocks = 1000000,
    chunks = 50000,
    leaked = 400000,
    leak_size = 96,
    large = 40 << 20,
    medium = 1 << 20,
    survivor_step = 16,
    waiting_threads = 200,
    cached_blocks = 60,
    busy_threads = 4,
    busy_slots = 500,
    views = 1100,
    sent = 1000 /* some parcels, not all of them full */
};

static void *kept[blocks];

/* Written to, so that it is there. */
static void *block_of(size_t size)
{
    char *block = malloc(size);

    if (block == NULL)
        exit(1);
    return memset(block, 1, size);
}

static void leak(void)
{
    for (int i = 0; i < leaked; i++)
        kept[0] = block_of(leak_size);
}

static void fragment(void)
{
    for (int i = 0; i < blocks; i++)
        kept[i] = block_of(64 + (size_t)(i / survivor_step) % 64);
    for (int i = 0; i < blocks; i++)
        if (i % survivor_step != 0)
            free(kept[i]);
}

/* What is free between two of them is less than a page. */
static void fragment_chunks(void)
{
    for (int i = 0; i < chunks; i++)
        kept[i] = block_of(1200);
    for (int i = 0; i < chunks; i++)
        if (i % 3 != 0)
            free(kept[i]);
}

/* The last block keeps top from going back to the kernel by itself. */
static void peak(void)
{
    for (int i = 0; i < blocks; i++)
        kept[i] = block_of(100);
    for (int i = 0; i + 1 < blocks; i++)
        free(kept[i]);
}

static sem_t has_freed;

static void *fill_cache(void *unused)
{
    void *own[cached_blocks];

    for (size_t size = 1000; size < 16000; size += 1000) {
        for (int i = 0; i < cached_blocks; i++)
            own[i] = block_of(size);
        for (int i = 0; i < cached_blocks; i++)
            free(own[i]);
    }
    sem_post(&has_freed);
    pause();
    return unused;
}

static void start(void *(*body)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    if (pthread_create(&thread, &attributes, body, NULL) != 0)
        exit(1);
}

static void start_threads(void)
{
    sem_init(&has_freed, 0, 0);
    for (int i = 0; i < waiting_threads; i++)
        start(fill_cache);
    for (int i = 0; i < waiting_threads; i++)
        sem_wait(&has_freed);
}

static void be_small(void)
{
    for (int i = 0; i < 2000; i++)
        kept[i] = block_of((size_t)i);
    for (int i = 0; i < 2000; i += 2)
        free(kept[i]);
    kept[1] = block_of(300000);
    kept[3] = block_of(400000);
    free(kept[3]);
    sem_init(&has_freed, 0, 0);
    for (int i = 0; i < 3; i++)
        start(fill_cache);
    for (int i = 0; i < 3; i++)
        sem_wait(&has_freed);
}

static void *replace_blocks(void *unused)
{
    void *own[busy_slots] = {NULL};
    unsigned random = (unsigned)(size_t)own;

    own[0] = block_of(100); /* so that it has a cache */
    sem_post(&has_freed);
    for (;;) {
        random = random * 1103515245 + 12345;
        free(own[random >> 8 & 255]);
        own[random >> 8 & 255] = block_of(random >> 16 & 4095);
    }
    return unused;
}

static void be_busy(void)
{
    sem_init(&has_freed, 0, 0);
    for (int i = 0; i < busy_threads; i++)
        start(replace_blocks);
    for (int i = 0; i < busy_threads; i++)
        sem_wait(&has_freed);
}

static bool input_ends(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};

    return poll(&input, 1, 0) != 0;
}

static void replace_for_a_while(void)
{
    static unsigned random = 1;

    for (int i = 0; i < 100000; i++) {
        void **place = &kept[random >> 8 & 1023];

        random = random * 1103515245 + 12345;
        free(*place);
        *place = block_of(random >> 16 & 4095);
    }
}

/* Its cache is full when it says so. */
static void be_busy_alone(void)
{
    replace_for_a_while();
    puts("ready");
    fflush(stdout);
    while (!input_ends())
        replace_for_a_while();
}

static void replace_one(void)
{
    puts("ready");
    fflush(stdout);
    while (!input_ends())
        for (int i = 0; i < 100000; i++)
            free(block_of(4000));
}

static void *fill_parcels(void *unused)
{
    for (int i = 0; i < sent; i++)
        free(kept[i]);
    sem_post(&has_freed);
    pause();
    return unused;
}

static void send_blocks(void)
{
    sem_init(&has_freed, 0, 0);
    for (int i = 0; i < sent; i++)
        kept[i] = block_of(1000);
    start(fill_parcels);
    sem_wait(&has_freed);
}

/* What closes the first heap is as large as a block, though it is none. Two of
 * the large blocks do not fit one heap. */
static void close_heap(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), next, last;

    mallopt(M_MMAP_MAX, 0);
    kept[0] = block_of(large);
    kept[1] = block_of(medium);
    next = (size_t)kept[1] + medium;
    last = (next + medium) / page * page - 32;
    kept[2] = block_of(last - next - 8);
    malloc_trim(0);
    kept[3] = block_of(large);
}

/* The heap is as small as one can be: nothing is allocated afterwards. */
static void trim(void)
{
    static char buffer[BUFSIZ];

    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    kept[0] = block_of(100);
    malloc_trim(0);
}

static void overflow(void)
{
    char *block = block_of(2000);

    kept[0] = block_of(2000);
    memset(block, 1, 2000 + 64);
    kept[1] = block;
}

static void be_large(void)
{
    int file = memfd_create("views", 0);

    if (file < 0 || ftruncate(file, medium) != 0)
        exit(1);
    for (int i = 0; i < views; i++)
        if (mmap(NULL, medium, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_POPULATE, file, 0) == MAP_FAILED)
            exit(1);
    close(file);
    puts("large");
    fflush(stdout);
}

static const struct role {
    const char *name;
    void (*play)(void);
} roles[] = {
    {"leak", leak},
    {"fragmented", fragment},
    {"chunks", fragment_chunks},
    {"peak", peak},
    {"threads", start_threads},
    {"small", be_small},
    {"busy", be_busy},
    {"alone", be_busy_alone},
    {"pages", replace_one},
    {"sender", send_blocks},
    {"closed", close_heap},
    {"trimmed", trim},
    {"overflow", overflow},
};

int main(int count, char **words)
{
    char byte;

    for (size_t i = 0; count == 2 && i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(words[1], roles[i].name) != 0)
            continue;
        roles[i].play();
        puts("ready");
        fflush(stdout);
        /* No buffer is allocated for what comes: the heap stays as it is. */
        while (read(STDIN_FILENO, &byte, 1) > 0)
            if (byte == '\n')
                be_large();
        return 0;
    }
    fputs("victim: no such role\n", stderr);
    return 1;
}
