#include "cxx_nothrow.h"

#include <stdlib.h>

#include "cxx_library.h"

typedef void *nothrow_form(size_t size, const void *nothrow);
typedef void *aligned_nothrow_form(size_t size, size_t alignment,
                                   const void *nothrow);

static void *cxx_new_nothrow(size_t size, const void *nothrow)
{
    bool is_ours = PTM_CXX_IS_OURS(public_new, cxx_new);
    void *mem = is_ours ? malloc(size) : NULL;
    if (likely(mem != NULL)) {
        return cxx_as(KIND_NEW, mem);
    }
    nothrow_form *form =
        (nothrow_form *)cxx_find_in_library("_ZnwmRKSt9nothrow_t");
    if (form != NULL) {
        return form(size, nothrow);
    }
    return is_ours ? NULL : public_new(size);
}

static void *cxx_new_array_nothrow(size_t size, const void *nothrow)
{
    bool is_ours = PTM_CXX_IS_OURS(public_new_array, cxx_new_array) &&
                   PTM_CXX_IS_OURS(public_new, cxx_new);
    void *mem = is_ours ? malloc(size) : NULL;
    if (likely(mem != NULL)) {
        return cxx_as(KIND_NEW_ARRAY, mem);
    }
    nothrow_form *form =
        (nothrow_form *)cxx_find_in_library("_ZnamRKSt9nothrow_t");
    if (form != NULL) {
        return form(size, nothrow);
    }
    return is_ours ? NULL : public_new_array(size);
}

static void *cxx_new_aligned_nothrow(size_t size, size_t alignment,
                                     const void *nothrow)
{
    bool is_ours = PTM_CXX_IS_OURS(public_new_aligned, cxx_new_aligned);
    void *mem = is_ours ? aligned_alloc(alignment, size) : NULL;
    if (likely(mem != NULL)) {
        return cxx_as(KIND_NEW, mem);
    }
    aligned_nothrow_form *form = (aligned_nothrow_form *)cxx_find_in_library(
        "_ZnwmSt11align_val_tRKSt9nothrow_t");
    if (form != NULL) {
        return form(size, alignment, nothrow);
    }
    return is_ours ? NULL : public_new_aligned(size, alignment);
}

static void *cxx_new_array_aligned_nothrow(size_t size, size_t alignment,
                                           const void *nothrow)
{
    bool is_ours =
        PTM_CXX_IS_OURS(public_new_array_aligned, cxx_new_array_aligned) &&
        PTM_CXX_IS_OURS(public_new_aligned, cxx_new_aligned);
    void *mem = is_ours ? aligned_alloc(alignment, size) : NULL;
    if (likely(mem != NULL)) {
        return cxx_as(KIND_NEW, mem);
    }
    aligned_nothrow_form *form = (aligned_nothrow_form *)cxx_find_in_library(
        "_ZnamSt11align_val_tRKSt9nothrow_t");
    if (form != NULL) {
        return form(size, alignment, nothrow);
    }
    return is_ours ? NULL : public_new_array_aligned(size, alignment);
}

PTM_CXX_OPERATOR(_ZnwmRKSt9nothrow_t, cxx_new_nothrow);
PTM_CXX_OPERATOR(_ZnamRKSt9nothrow_t, cxx_new_array_nothrow);
PTM_CXX_OPERATOR(_ZnwmSt11align_val_tRKSt9nothrow_t, cxx_new_aligned_nothrow);
PTM_CXX_OPERATOR(_ZnamSt11align_val_tRKSt9nothrow_t,
                 cxx_new_array_aligned_nothrow);
