/*
 * A library with thread-local and static objects, which unloaded.cc closes while
 * threads still have theirs. Their destructors free, and allocate once more.
 */
#include <cstdlib>
#include <string>
#include <vector>

namespace {
struct owner {
    void *block = malloc(50);
    std::string text = std::string(1000, 'x');
    ~owner()
    {
        free(block);
        text += std::string(5000, 'y');
    }
};

owner of_the_library;
thread_local owner of_the_thread;
thread_local std::vector<std::string> words;
} // namespace

extern "C" int touch();

int touch()
{
    words.push_back(std::string(100, 'z'));
    return of_the_library.text == of_the_thread.text;
}
