#include "cxx.h"

#include <stdlib.h>

#include "cxx_library.h"

void free_sized(void *mem, size_t size);

/* ---- new ---------------------------------------------------------------- */

static PTM_NOINLINE void *new_slowly(size_t size)
{
    void *mem;
    do {
        cxx_handle_no_memory();
        mem = malloc(size);
    } while (mem == NULL);
    return mem;
}

void *cxx_new(size_t size)
{
    void *mem = malloc(size);
    return cxx_as(KIND_NEW, likely(mem != NULL) ? mem : new_slowly(size));
}

/* An alignment is a power of two, or there is no memory of it. */
void *cxx_new_aligned(size_t size, size_t alignment)
{
    void *mem = aligned_alloc(alignment, size);
    while (unlikely(mem == NULL)) {
        cxx_handle_no_memory();
        mem = aligned_alloc(alignment, size);
    }
    return cxx_as(KIND_NEW, mem);
}

PTM_CXX_OPERATOR(_Znwm, cxx_new);
PTM_CXX_OPERATOR(_ZnwmSt11align_val_t, cxx_new_aligned);

static void *new_array(size_t size)
{
    void *mem = malloc(size);
    return cxx_as(KIND_NEW_ARRAY, likely(mem != NULL) ? mem : new_slowly(size));
}

void *cxx_new_array(size_t size)
{
    return PTM_CXX_IS_OURS(public_new, cxx_new) ? new_array(size)
                                                : public_new(size);
}

/* Of aligned blocks, arrays are not told from single objects. */
void *cxx_new_array_aligned(size_t size, size_t alignment)
{
    return public_new_aligned(size, alignment);
}

PTM_CXX_OPERATOR(_Znam, cxx_new_array);
PTM_CXX_OPERATOR(_ZnamSt11align_val_t, cxx_new_array_aligned);

/* ---- delete ------------------------------------------------------------- */

/* Becomes malloc's again, so that free takes it. Who replaces one form of new
 * may give us blocks of any kind: then each will do. */
PTM_COLD static void take_back(void *mem, enum block_kind kind,
                               const char *where)
{
    bool is_ours =
        PTM_CXX_IS_OURS(public_new, cxx_new) &&
        PTM_CXX_IS_OURS(public_new_array, cxx_new_array) &&
        PTM_CXX_IS_OURS(public_new_aligned, cxx_new_aligned) &&
        PTM_CXX_IS_OURS(public_new_array_aligned, cxx_new_array_aligned);
    if (mem != NULL) {
        kind_change(mem, is_ours ? kind : KIND_ANY, KIND_MALLOC, where);
    }
}

static inline void delete_one(void *mem)
{
    if (unlikely(kinds_are_told)) {
        take_back(mem, KIND_NEW, "operator delete");
    }
}

static inline void delete_array(void *mem)
{
    if (unlikely(kinds_are_told)) {
        take_back(mem, KIND_NEW_ARRAY, "operator delete[]");
    }
}

static void cxx_delete(void *mem)
{
    delete_one(mem);
    free(mem);
}

PTM_CXX_OPERATOR(_ZdlPv, cxx_delete);
extern void public_delete(void *mem) PTM_CXX_PUBLIC(_ZdlPv);

static void cxx_delete_array(void *mem)
{
    if (PTM_CXX_IS_OURS(public_delete, cxx_delete)) {
        delete_array(mem);
        free(mem);
    } else {
        public_delete(mem);
    }
}

PTM_CXX_OPERATOR(_ZdaPv, cxx_delete_array);
extern void public_delete_array(void *mem) PTM_CXX_PUBLIC(_ZdaPv);

/* The size is looked at where no other function of the program's comes
 * between. */
static void cxx_delete_sized(void *mem, size_t size)
{
    if (PTM_CXX_IS_OURS(public_delete, cxx_delete)) {
        delete_one(mem);
        free_sized(mem, size);
    } else {
        public_delete(mem);
    }
}

static void cxx_delete_array_sized(void *mem, size_t size)
{
    if (PTM_CXX_IS_OURS(public_delete_array, cxx_delete_array) &&
        PTM_CXX_IS_OURS(public_delete, cxx_delete)) {
        delete_array(mem);
        free_sized(mem, size);
    } else {
        public_delete_array(mem);
    }
}

static void cxx_delete_nothrow(void *mem, const void *nothrow)
{
    (void)nothrow;
    public_delete(mem);
}

static void cxx_delete_array_nothrow(void *mem, const void *nothrow)
{
    (void)nothrow;
    public_delete_array(mem);
}

PTM_CXX_OPERATOR(_ZdlPvm, cxx_delete_sized);
PTM_CXX_OPERATOR(_ZdaPvm, cxx_delete_array_sized);
PTM_CXX_OPERATOR(_ZdlPvRKSt9nothrow_t, cxx_delete_nothrow);
PTM_CXX_OPERATOR(_ZdaPvRKSt9nothrow_t, cxx_delete_array_nothrow);

/* ---- aligned delete ----------------------------------------------------- */

static void cxx_delete_aligned(void *mem, size_t alignment)
{
    (void)alignment;
    delete_one(mem);
    free(mem);
}

PTM_CXX_OPERATOR(_ZdlPvSt11align_val_t, cxx_delete_aligned);
extern void public_delete_aligned(void *mem, size_t alignment)
    PTM_CXX_PUBLIC(_ZdlPvSt11align_val_t);

static void cxx_delete_array_aligned(void *mem, size_t alignment)
{
    public_delete_aligned(mem, alignment);
}

PTM_CXX_OPERATOR(_ZdaPvSt11align_val_t, cxx_delete_array_aligned);
extern void public_delete_array_aligned(void *mem, size_t alignment)
    PTM_CXX_PUBLIC(_ZdaPvSt11align_val_t);

static void cxx_delete_sized_aligned(void *mem, size_t size, size_t alignment)
{
    if (PTM_CXX_IS_OURS(public_delete_aligned, cxx_delete_aligned)) {
        delete_one(mem);
        free_sized(mem, size);
    } else {
        public_delete_aligned(mem, alignment);
    }
}

static void cxx_delete_array_sized_aligned(void *mem, size_t size,
                                           size_t alignment)
{
    if (PTM_CXX_IS_OURS(public_delete_array_aligned,
                        cxx_delete_array_aligned)) {
        cxx_delete_sized_aligned(mem, size, alignment);
    } else {
        public_delete_array_aligned(mem, alignment);
    }
}

static void cxx_delete_aligned_nothrow(void *mem, size_t alignment,
                                       const void *nothrow)
{
    (void)nothrow;
    public_delete_aligned(mem, alignment);
}

static void cxx_delete_array_aligned_nothrow(void *mem, size_t alignment,
                                             const void *nothrow)
{
    (void)nothrow;
    public_delete_array_aligned(mem, alignment);
}

PTM_CXX_OPERATOR(_ZdlPvmSt11align_val_t, cxx_delete_sized_aligned);
PTM_CXX_OPERATOR(_ZdaPvmSt11align_val_t, cxx_delete_array_sized_aligned);
PTM_CXX_OPERATOR(_ZdlPvSt11align_val_tRKSt9nothrow_t,
                 cxx_delete_aligned_nothrow);
PTM_CXX_OPERATOR(_ZdaPvSt11align_val_tRKSt9nothrow_t,
                 cxx_delete_array_aligned_nothrow);
