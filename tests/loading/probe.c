/*
 * probe.c - a small program that tells whether a malloc works in it.
 *
 * It allocates in several threads, in libraries that it opens, under a sandbox,
 * and so on, as its word says, looks at what it wrote, and prints where its
 * malloc lies. It exits with 0 when all went well. What is wrong ends it some
 * other way: for whoever runs it, anything else is a no.
 *
 *   probe plain
 *   probe open LIBRARY     opens it first; its own malloc stays what it was
 *   probe exchange PLUGIN  opens it with RTLD_DEEPBIND; both free the other's
 *   probe apart PLUGIN     opens it in a namespace of its own
 *   probe neighbour PLUGIN opens it, and lets it open libneighbour.so, which is
 *                          where only the plugin's RUNPATH says
 *   probe handle           asks the C library's own handle for malloc's family
 *   probe pages SIZE       when a page is so large
 *   probe maps             when the kernel has no more mappings to give
 *   probe sandbox          when all but the most needed calls are refused
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MUST(condition)                                                        \
    ((condition) ? (void)0                                                     \
                 : (fprintf(stderr, "not so: " #condition "\n"), _exit(1)))

enum { THREADS = 4, BLOCKS = 500 };

/* Sizes up to 300 KB, now and then. */
static size_t size_of(unsigned i)
{
    return i % 97 == 0 ? 300000 : i * 37 % 5000;
}

static void *allocate(void *unused)
{
    static __thread unsigned char *blocks[BLOCKS];
    (void)unused;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(size_of(i));
            MUST(blocks[i] != NULL);
            memset(blocks[i], (int)i, size_of(i));
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            MUST(size_of(i) == 0 ||
                 (blocks[i][0] == (unsigned char)i &&
                  blocks[i][size_of(i) - 1] == (unsigned char)i));
            blocks[i] = realloc(blocks[i], size_of(i + 1) + 1);
            MUST(blocks[i] != NULL);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            free(blocks[i]);
        }
    }
    void *aligned = NULL;
    MUST(posix_memalign(&aligned, 4096, 100) == 0);
    MUST((uintptr_t)aligned % 4096 == 0);
    free(aligned);
    return NULL;
}

static void allocate_in_threads(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
    }
    allocate(NULL);
}

static void *must_open(const char *path, int flags)
{
    void *library = dlopen(path, flags);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
    return library;
}

/* Uses the library's functions by their names. */
static void use_library(void *library)
{
    void *(*their_malloc)(size_t) = (void *(*)(size_t))dlsym(library, "malloc");
    void (*their_free)(void *) = (void (*)(void *))dlsym(library, "free");
    MUST(their_malloc != NULL && their_free != NULL);
    for (unsigned i = 0; i < 1000; i++) {
        void *block = their_malloc(size_of(i));
        MUST(block != NULL);
        memset(block, 1, size_of(i));
        their_free(block);
    }
}

static void exchange_blocks(void *plugin)
{
    void *(*make)(void) = (void *(*)(void))dlsym(plugin, "make");
    void (*destroy)(void *) = (void (*)(void *))dlsym(plugin, "destroy");
    MUST(make != NULL && destroy != NULL);
    for (int i = 0; i < 1000; i++) {
        free(make());
        destroy(malloc(100));
        free(realloc(make(), 200));
    }
}

/* What C libraries call themselves. Who has their handle and asks it for free
 * gives that what strdup allocated, and so on. */
static void use_handle_of_libc(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_LOCAL);
    libc = libc != NULL ? libc : must_open("libc.so", RTLD_NOW | RTLD_LOCAL);
    void *(*their_malloc)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
    void *(*their_realloc)(void *, size_t) =
        (void *(*)(void *, size_t))dlsym(libc, "realloc");
    void (*their_free)(void *) = (void (*)(void *))dlsym(libc, "free");
    MUST(their_malloc != NULL && their_realloc != NULL && their_free != NULL);
    MUST(dlsym(libc, "no_such_function") == NULL && dlerror() != NULL);
    for (unsigned i = 0; i < 1000; i++) {
        their_free(strdup("text"));
        their_free(malloc(size_of(i)));
        free(their_malloc(size_of(i)));
        free(their_realloc(malloc(100), size_of(i) + 1));
    }
}

/* musl has neither namespaces nor the flag. */
#ifdef __GLIBC__
#define OPEN_APART(path) dlmopen(LM_ID_NEWLM, (path), RTLD_NOW)
#else
#define OPEN_APART(path) dlopen((path), RTLD_NOW)
#define RTLD_DEEPBIND    0
#endif

static void use_plugin_apart(const char *path)
{
    void *plugin = OPEN_APART(path);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
    void *(*make)(void) = (void *(*)(void))dlsym(plugin, "make");
    void (*destroy)(void *) = (void (*)(void *))dlsym(plugin, "destroy");
    for (int i = 0; i < 1000; i++) {
        destroy(make());
    }
}

/* Every second page may be written: each is a mapping. Then malloc may say no,
 * but what it gives must be good, and what it gave before must go. */
static void use_up_mappings(void)
{
    enum { PAGES = 140000, PAGE = 4096 };
    void *before[100];
    for (int i = 0; i < 100; i++) {
        before[i] = malloc(size_of((unsigned)i) + 1);
        MUST(before[i] != NULL);
    }
    char *pages = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(pages != MAP_FAILED);
    int made = 0;
    while (made < PAGES && mprotect(pages + (size_t)made * PAGE, PAGE,
                                    PROT_READ | PROT_WRITE) == 0) {
        made += 2;
    }
    MUST(made < PAGES && errno == ENOMEM);
    for (unsigned i = 0; i < 5000; i++) {
        size_t size = i % 50 == 0 ? 3000000 : size_of(i);
        char *block = malloc(size);
        if (block != NULL) {
            memset(block, 1, size);
            free(block);
        }
    }
    for (int i = 0; i < 100; i++) {
        free(before[i]);
    }
    munmap(pages, (size_t)PAGES * PAGE);
}

#define ALLOW(number)                                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),                       \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void enter_sandbox(void)
{
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mprotect),
        ALLOW(SYS_brk),
        ALLOW(SYS_futex),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_rt_sigreturn),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    static struct sock_fprog program = {.len = sizeof filter / sizeof filter[0],
                                        .filter = filter};
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* A static program has no names to look up. */
static void print_home(void)
{
    Dl_info info;
    void *function = (void *)(uintptr_t)&malloc;
    if (dladdr(function, &info) != 0) {
        printf("malloc is in %s\n", info.dli_fname);
    }
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "plain";
    void *plugin = NULL;
    print_home();
    fflush(stdout);
    if (strcmp(word, "open") == 0) {
        use_library(must_open(argv[2], RTLD_NOW | RTLD_LOCAL));
    } else if (strcmp(word, "exchange") == 0) {
        plugin = must_open(argv[2], RTLD_NOW | RTLD_DEEPBIND);
        exchange_blocks(plugin);
    } else if (strcmp(word, "neighbour") == 0) {
        plugin = must_open(argv[2], RTLD_NOW | RTLD_DEEPBIND);
        void *(*open)(const char *) =
            (void *(*)(const char *))dlsym(plugin, "open_neighbour");
        MUST(open("libneighbour.so") != NULL);
    } else if (strcmp(word, "handle") == 0) {
        use_handle_of_libc();
    } else if (strcmp(word, "apart") == 0) {
        use_plugin_apart(argv[2]);
    } else if (strcmp(word, "pages") == 0) {
        MUST(sysconf(_SC_PAGESIZE) == strtol(argv[2], NULL, 10));
    } else if (strcmp(word, "maps") == 0) {
        use_up_mappings();
    } else if (strcmp(word, "sandbox") == 0) {
        enter_sandbox();
        allocate(NULL);
        _exit(0);
    }
    allocate_in_threads();
    return 0;
}
