/*
 * visit.pml - a model of src/sleepers.h for spin.
 *
 *     slot  0      1     2     3     4
 *         | NULL | a  |  b  |  c  |  -  |         top is 3, cut 2
 *
 * A thread takes and adds blocks of one class at `top`, as malloc and free do,
 * without any fence. A visitor tries to take the oldest ones, by the steps 2 to
 * 6 of sleepers.h. (That slow calls keep out is what step 1 and `busy` see to,
 * by a pattern that is known; here the thread waits for the end of the visit
 * when it meets NULL.)
 *
 * What the thread stores waits in a buffer, and leaves it at any time: in any
 * order, but for two stores to the same word. It reads its own stores, and else
 * memory. A barrier of the visitor's empties the buffer in one step, between
 * two steps of the thread. What the visitor does is seen at once.
 *
 * Blocks are numbers from 1; 0 is NULL. Checked: who gets a block is the only
 * one; and when nothing moves any more, no block is lost: each is with the
 * thread, with the visitor, or in the array.
 *
 * tools/check-inbox runs this, and then again with each of these mistakes in
 * it, which must not pass:
 *
 *     NO_BARRIER     step 3 is left out
 *     NO_LOOK        step 4 is, and only the slot decides
 *     NO_SECOND      step 5 is: right where stores leave in order (IN_ORDER)
 *     CUT_AT_TOP     the newest block is taken as well
 *     BLIND_RETURN   the block is put back without a comparison
 */
#define SLOTS  5
#define BLOCKS 3
#ifndef MOVES
#define MOVES 6 /* of the thread */
#endif

#define IN_ARRAY   1
#define AT_THREAD  2
#define AT_VISITOR 3

/* Memory. */
byte slot[SLOTS];
byte top = 3;
byte base = 0;

/* What the thread has stored and nobody else sees yet: at most one value for a
 * slot, and one for `top`, as a later store to the same word waits. */
byte late_slot[SLOTS];
bool slot_is_late[SLOTS];
byte late_top;
bool top_is_late;

byte owner[BLOCKS + 1];
bool visit_is_over;
bool thread_is_done;

/* What the thread knows. */
byte held[BLOCKS];
byte count;

#ifdef IN_ORDER
/* The stores of one block and of `top` leave in turn, so the next does not
 * begin before both have. */
#define MAY_STORE_TOP(at)  (!slot_is_late[at])
#define MAY_STORE_SLOT(at) (!top_is_late)
#else
#define MAY_STORE_TOP(at)  true
#define MAY_STORE_SLOT(at) true
#endif

/* One store leaves the buffer. */
proctype buffer()
{
    byte at;

end:
    do
    :: top_is_late ->
        atomic {
            if
            :: top_is_late -> top = late_top; top_is_late = false
            :: else
            fi
        }
    :: atomic { slot_is_late[1] -> slot[1] = late_slot[1];
                slot_is_late[1] = false }
    :: atomic { slot_is_late[2] -> slot[2] = late_slot[2];
                slot_is_late[2] = false }
    :: atomic { slot_is_late[3] -> slot[3] = late_slot[3];
                slot_is_late[3] = false }
    :: atomic { slot_is_late[4] -> slot[4] = late_slot[4];
                slot_is_late[4] = false }
    od
}

inline barrier()
{
    atomic {
        if :: top_is_late -> top = late_top; top_is_late = false :: else fi;
        if :: slot_is_late[1] -> slot[1] = late_slot[1];
              slot_is_late[1] = false :: else fi;
        if :: slot_is_late[2] -> slot[2] = late_slot[2];
              slot_is_late[2] = false :: else fi;
        if :: slot_is_late[3] -> slot[3] = late_slot[3];
              slot_is_late[3] = false :: else fi;
        if :: slot_is_late[4] -> slot[4] = late_slot[4];
              slot_is_late[4] = false :: else fi
    }
}

inline store_top(value)
{
    atomic { !top_is_late -> late_top = value; top_is_late = true }
}

/* `own` is what the thread knows `top` to be: nobody else stores it. */
proctype thread()
{
    byte own = 3, moves = 0, mem;

    do
    :: moves < MOVES && own > 0 ->
        /* malloc */
        atomic {
            mem = (slot_is_late[own] -> late_slot[own] : slot[own]);
            moves++
        }
        if
        :: mem == 0 ->
            visit_is_over; /* a slow call */
            if
            :: own == base -> break /* empty */
            :: else
            fi
        :: else ->
            atomic {
                !top_is_late ->
                late_top = own - 1;
                top_is_late = true;
                assert(owner[mem] == IN_ARRAY);
                owner[mem] = AT_THREAD;
                held[count] = mem;
                count++;
                own--;
                mem = 0
            }
        fi
    :: moves < MOVES && count > 0 && own + 1 < SLOTS ->
        /* free: any of its blocks */
        atomic {
            moves++;
            if
            :: true
            :: count > 1 -> mem = held[0]; held[0] = held[count - 1];
                            held[count - 1] = mem
            fi;
            mem = held[count - 1]
        }
        atomic {
            !slot_is_late[own + 1] && MAY_STORE_SLOT(own + 1) ->
            late_slot[own + 1] = mem;
            slot_is_late[own + 1] = true;
            owner[mem] = IN_ARRAY;
            count--;
            held[count] = 0;
            mem = 0
        }
        atomic {
            !top_is_late && MAY_STORE_TOP(own + 1) ->
            late_top = own + 1;
            top_is_late = true;
            own++
        }
    :: moves >= MOVES || own == 0 -> break
    od;
    thread_is_done = true
}

proctype visitor()
{
    byte cut, mem, at;
    bool is_above;

#ifdef CUT_AT_TOP
    cut = top;
#else
    atomic {
        if
        :: top > 1 -> cut = top - 1
        :: else
        fi
    }
#endif
    mem = slot[cut];
    atomic { /* 2 */
        if
        :: mem != 0 && slot[cut] == mem -> slot[cut] = 0
        :: else -> mem = 0
        fi
    }
    if
    :: mem == 0 -> goto leave
    :: else
    fi;
#ifndef NO_BARRIER
    barrier(); /* 3 */
#endif
#ifdef NO_LOOK
    is_above = true;
#elif defined(CUT_AT_TOP)
    is_above = top >= cut;
#else
    is_above = top > cut; /* 4 */
#endif
#ifndef NO_SECOND
    barrier(); /* 5 */
#endif
    if /* 6 */
    :: is_above && slot[cut] == 0 ->
        at = 1;
        do
        :: at < cut ->
            atomic {
                assert(owner[slot[at]] == IN_ARRAY);
                owner[slot[at]] = AT_VISITOR;
                at++
            }
        :: else -> break
        od;
        atomic {
            assert(owner[mem] == IN_ARRAY);
            owner[mem] = AT_VISITOR
        }
        base = cut
    :: else ->
#ifdef BLIND_RETURN
        slot[cut] = mem
#else
        atomic {
            if
            :: slot[cut] == 0 -> slot[cut] = mem
            :: else
            fi
        }
#endif
    fi;
leave:
    visit_is_over = true
}

/* Runs when nobody else can. */
proctype auditor()
{
    byte at, found;

    timeout;
    assert(thread_is_done && visit_is_over);
    assert(!top_is_late && top >= base);
    at = base + 1;
    do
    :: at <= top ->
        assert(slot[at] != 0 && owner[slot[at]] == IN_ARRAY);
        found++;
        at++
    :: else -> break
    od;
    at = 1;
    do
    :: at <= BLOCKS ->
        if :: owner[at] != IN_ARRAY -> found++ :: else fi;
        at++
    :: else -> break
    od;
    assert(found == BLOCKS)
}

init
{
    atomic {
        slot[1] = 1;
        slot[2] = 2;
        slot[3] = 3;
        owner[1] = IN_ARRAY;
        owner[2] = IN_ARRAY;
        owner[3] = IN_ARRAY;
        run buffer();
        run thread();
        run visitor();
        run auditor()
    }
}
