/*
 * launch.c - finds the library and the command, and looks at their first bytes
 * to foresee what the dynamic linker will do with them.
 *
 * Only the command's own file is looked at: a script is what its interpreter
 * makes of it, and what a command runs in its turn cannot be known before.
 */
#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fail(int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("ptm: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(status);
}

void require(bool success, const char *call)
{
    if (!success)
        fail(exit_tool, "%s: %s", call, strerror(errno));
}

/* A script, a file too short and one that may not be read are no ELF files. */
static bool read_elf_header(int file, ElfW(Ehdr) * header)
{
    return pread(file, header, sizeof *header, 0) == sizeof *header &&
           memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
}

static bool is_for_this_machine(const ElfW(Ehdr) * header)
{
    ElfW(Ehdr) own;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    require(file >= 0 && read_elf_header(file, &own), "/proc/self/exe");
    close(file);
    return header->e_ident[EI_CLASS] == own.e_ident[EI_CLASS] &&
           header->e_machine == own.e_machine;
}

static bool names_a_dynamic_linker(int file, const ElfW(Ehdr) * header)
{
    ElfW(Phdr) segment;

    for (int i = 0; i < header->e_phnum; i++) {
        off_t place = (off_t)header->e_phoff + (off_t)i * header->e_phentsize;

        if (pread(file, &segment, sizeof segment, place) != sizeof segment)
            return false;
        if (segment.p_type == PT_INTERP)
            return true;
    }
    return false;
}

/* The kernel marks such a process secure, and preloading is then ignored. */
static bool changes_user(int file)
{
    struct stat status;

    return fstat(file, &status) == 0 &&
           (((status.st_mode & S_ISUID) && status.st_uid != geteuid()) ||
            ((status.st_mode & S_ISGID) && status.st_gid != getegid()));
}

/* Why a preloaded library would not reach this program, or NULL. */
static const char *obstacle_to_preloading(const char *path)
{
    const char *obstacle = NULL;
    ElfW(Ehdr) header;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return NULL;
    if (changes_user(file))
        obstacle = "it is set-user-ID or set-group-ID";
    else if (!read_elf_header(file, &header))
        obstacle = NULL;
    else if (!is_for_this_machine(&header))
        obstacle = "it is for another architecture";
    else if (!names_a_dynamic_linker(file, &header))
        obstacle = "it is statically linked";
    close(file);
    return obstacle;
}

static bool is_shared_library(const char *path)
{
    ElfW(Ehdr) header;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is = file >= 0 && read_elf_header(file, &header) &&
              is_for_this_machine(&header) && header.e_type == ET_DYN;

    if (file >= 0)
        close(file);
    return is;
}

static void find_beside_tool(char path[PATH_MAX], const char *name)
{
    ssize_t length =
        readlink("/proc/self/exe", path, PATH_MAX - strlen(name) - 1);
    char *last_slash;

    require(length > 0, "/proc/self/exe");
    path[length] = '\0';
    last_slash = strrchr(path, '/');
    require(last_slash != NULL, "/proc/self/exe");
    strcpy(last_slash + 1, name);
}

void find_own_file(char path[PATH_MAX], const char *installed, const char *name)
{
    find_beside_tool(path, installed);
    if (access(path, F_OK) != 0)
        find_beside_tool(path, name);
}

void find_library(char library[PATH_MAX])
{
    char beside[PATH_MAX];
    const char *wanted = getenv("PTM_LIBRARY");

    if (wanted == NULL || *wanted == '\0') {
        find_own_file(beside, PTM_INSTALLED_LIBRARY, "libptm.so");
        wanted = beside;
    }
    if (realpath(wanted, library) == NULL)
        fail(exit_tool, "cannot find the library %s: %s", wanted,
             strerror(errno));
    if (strpbrk(library, " :") != NULL)
        fail(exit_tool, "cannot preload %s: its path has a space or a colon",
             library);
    if (!is_shared_library(library))
        fail(exit_tool,
             "cannot preload %s: not a shared library for this machine",
             library);
}

void preload(const char *library)
{
    const char *kept = getenv("LD_PRELOAD");
    char *list = NULL;

    if (kept != NULL && *kept != '\0')
        require(asprintf(&list, "%s:%s", library, kept) > 0, "LD_PRELOAD");
    require(setenv("LD_PRELOAD", list ? list : library, 1) == 0, "LD_PRELOAD");
    free(list);
}

char **skip_end_of_options(const char *subcommand, char **words)
{
    if (words[0] != NULL && strcmp(words[0], "--") == 0)
        words++;
    else if (words[0] != NULL && words[0][0] == '-')
        fail(exit_tool, "%s: unknown option '%s'; see ptm --help", subcommand,
             words[0]);
    if (words[0] == NULL)
        fail(exit_tool, "%s: no command; see ptm --help", subcommand);
    return words;
}

/* 0, or the errno that running the file would give. */
static int try_to_run(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode) || access(path, X_OK) != 0)
        return EACCES;
    return 0;
}

/* Follows PATH as the shell does: a file that may not be run does not end the
 * search, but is what the user is told of when nothing better comes. */
static int search_path(const char *name, char found[PATH_MAX])
{
    const char *rest = getenv("PATH");
    int error = ENOENT;

    for (rest = rest ? rest : "/usr/bin:/bin"; rest != NULL;) {
        size_t length = strcspn(rest, ":");
        const char *directory = length > 0 ? rest : ".";
        int width = length > 0 ? (int)length : 1;

        if (snprintf(found, PATH_MAX, "%.*s/%s", width, directory, name) <
            PATH_MAX) {
            int here = try_to_run(found);

            if (here == 0)
                return 0;
            if (here == EACCES && access(found, F_OK) == 0)
                error = EACCES;
        }
        rest = rest[length] == ':' ? rest + length + 1 : NULL;
    }
    return error;
}

void find_command(struct command *command, char **words)
{
    const char *name = words[0];
    const char *obstacle;
    int error;

    command->words = words;
    if (strchr(name, '/') == NULL) {
        error = search_path(name, command->path);
    } else {
        error = try_to_run(name);
        snprintf(command->path, PATH_MAX, "%s", name);
    }
    if (error == ENOENT)
        fail(exit_not_found, "%s: command not found", name);
    if (error != 0)
        fail(exit_not_runnable, "%s: %s", name, strerror(error));
    obstacle = obstacle_to_preloading(command->path);
    if (obstacle != NULL)
        fail(exit_not_runnable, "%s cannot run under ptm: %s", name, obstacle);
}

void become(const struct command *command)
{
    execv(command->path, command->words);
    fail(exit_not_runnable, "%s: %s", command->words[0], strerror(errno));
}
