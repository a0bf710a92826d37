/*
 * A C program without a C++ library, which opens one together with plugin.cc,
 * for nobody else to see.
 *
 * usage: host PLUGIN
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2 || dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv") != NULL) {
        fprintf(stderr, "there is a C++ library, or no plugin\n");
        return 1;
    }
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*run)(void) = (int (*)(void))dlsym(plugin, "plugin");
    int result = run();
    if (result != 0) {
        fprintf(stderr, "plugin: %d\n", result);
    }
    return result;
}
