/*
 * early_library.h - a library that allocates in its constructor and frees in
 * its destructor, and knows nothing of ptm.
 */
#ifndef EARLY_LIBRARY_H
#define EARLY_LIBRARY_H

#define EARLY_LIBRARY_BYTE 'l'

/* A block of 1000 bytes, taken by the constructor; it is the caller's. */
void *early_library_block(void);

/* Takes over `block`; the destructor frees it and then sets *done to 1. */
void early_library_free_at_end(void *block, int *done);

#endif
