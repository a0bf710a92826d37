/*
 * pool.pml - a model of the pool of parcels, src/parcel.c, for spin.
 *
 *     pool --> parcel --> parcel --> none
 *
 * Traders pop one or two parcels, which are theirs then, and push them again
 * in either order. The head and the count of pops are one word: read in one
 * step, compared and swapped in one. Reading and writing a link are steps of
 * their own, as is everything else. What the model takes as given is that the
 * link of a parcel is seen as it was when it was pushed, unless the parcel has
 * been popped since: parcel.h says how release and acquire order see to that;
 * and that the count does not come back to an old value meanwhile.
 *
 * Checked: who pops a parcel is the only one who has it; and in the end all
 * parcels are in the pool, each once.
 *
 * tools/check-inbox runs this, and then again with each of these mistakes in
 * it, which must not pass:
 *
 *     NO_COUNT     the head is compared without the count
 *     BLIND_PUSH   a push stores the head without a comparison
 */
#define TRADERS 2
#define PARCELS 3
#ifndef ROUNDS
#define ROUNDS 3 /* times that each trader pops and pushes */
#endif

byte head;
byte count;
byte link[PARCELS + 1];
byte owner[PARCELS + 1]; /* a trader's number; 0: in the pool */
byte done;

inline pop(mine)
{
    atomic { top = head; seen = count }
    do
    :: top == 0 -> mine = 0; break
    :: top != 0 ->
        next = link[top];
        atomic {
            if
#ifdef NO_COUNT
            :: head == top ->
#else
            :: head == top && count == seen ->
#endif
                head = next;
                count++;
                assert(owner[top] == 0);
                owner[top] = me;
                mine = top;
                break
            :: else -> top = head; seen = count
            fi
        }
    od;
    atomic { top = 0; seen = 0; next = 0 }
}

inline push(mine)
{
    top = head;
    do
    :: true ->
        link[mine] = top;
        atomic {
            if
#ifdef BLIND_PUSH
            :: true ->
#else
            :: head == top ->
#endif
                head = mine;
                assert(owner[mine] == me);
                owner[mine] = 0;
                break
#ifndef BLIND_PUSH
            :: else -> top = head
#endif
            fi
        }
    od;
    atomic { top = 0; mine = 0 }
}

proctype trader(byte me)
{
    byte round, first, second, top, seen, next;

    do
    :: round < ROUNDS ->
        pop(first);
        if
        :: true
        :: pop(second)
        fi;
        if
        :: first != 0 -> push(first)
        :: second != 0 -> push(second)
        :: else
        fi;
        if
        :: first != 0 -> push(first)
        :: second != 0 -> push(second)
        :: else
        fi;
        round++
    :: else -> break
    od;
    done++
}

/* Runs when nobody else can. */
proctype auditor()
{
    byte found, at;

    timeout;
    assert(done == TRADERS);
    at = head;
    do
    :: at != 0 ->
        assert(owner[at] == 0 && found < PARCELS);
        found++;
        at = link[at]
    :: at == 0 -> break
    od;
    assert(found == PARCELS)
}

init
{
    atomic {
        link[1] = 2;
        link[2] = 3;
        head = 1;
        run trader(1);
        run trader(2);
        run auditor()
    }
}
