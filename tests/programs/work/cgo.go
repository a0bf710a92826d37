// Work for cgo: goroutines that hand blocks of C's malloc to each other, calls
// from C back to Go, threads that end, children; prints sums.
package main

/*
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int compare(void *, void *);

static int compare_in_go(const void *a, const void *b)
{
    return compare((void *)a, (void *)b);
}

static void sort(int *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_in_go);
}

static void *work(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        char *block = malloc((size_t)(i % 700 + 1));
        block[0] = 1;
        free(block);
    }
    return unused;
}

static int threads(int count)
{
    int done = 0;
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) == 0)
            done += pthread_join(thread, NULL) == 0;
    }
    return done;
}
*/
import "C"

import (
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

//export compare
func compare(a, b unsafe.Pointer) C.int {
	return C.int(*(*C.int)(a) - *(*C.int)(b))
}

func lookup() {
	addresses, wrong := net.LookupHost("localhost")
	fmt.Println(len(addresses) > 0, wrong)
}

func exchange() {
	blocks := make(chan unsafe.Pointer, 100)
	sums := make(chan int, 8)
	var makers, takers sync.WaitGroup
	for g := 0; g < 8; g++ {
		makers.Add(1)
		go func(g int) {
			defer makers.Done()
			for i := 0; i < 3000; i++ {
				size := C.size_t((i*31+g)%5000 + 4)
				block := C.malloc(size)
				C.memset(block, C.int(i%100), size)
				blocks <- block
			}
		}(g)
		takers.Add(1)
		go func() {
			defer takers.Done()
			runtime.LockOSThread() // and the thread ends with it
			sum := 0
			for block := range blocks {
				sum += int(*(*byte)(block))
				C.free(block)
			}
			sums <- sum
		}()
	}
	makers.Wait()
	close(blocks)
	takers.Wait()
	total := 0
	for g := 0; g < 8; g++ {
		total += <-sums
	}
	fmt.Println("exchanged", total)
}

func main() {
	if len(os.Args) > 1 {
		lookup()
		return
	}
	exchange()
	numbers := (*[5000]C.int)(C.calloc(5000, 4))
	for i := range numbers {
		numbers[i] = C.int(i * 7919 % 5003)
	}
	C.sort(&numbers[0], 5000)
	fmt.Println(numbers[0], numbers[2500], numbers[4999])
	C.free(unsafe.Pointer(numbers))
	fmt.Println(C.threads(40))
	words := make([]string, 0)
	for i := 0; i < 3000; i++ {
		text := C.CString(strings.Repeat("x", i%300) + fmt.Sprint(i))
		words = append(words, C.GoString(text))
		C.free(unsafe.Pointer(text))
	}
	fmt.Println(crc32.ChecksumIEEE([]byte(strings.Join(words, ","))))
	output, _ := exec.Command("echo", "a child").Output()
	fmt.Print(string(output))
}
