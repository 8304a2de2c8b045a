/* What every streamed chunk passes, compiled: the twins of http/arrivals.py, http/pattern.py and record/gaps.py, which
   say what it is for, and events_in, which compiled.py describes.

   Both forms are held to the same tests. Without a compiler at installation the plain one is used.
*/

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define REVISION 4 /* as in compiled.py */

static const char GOES_ON[4] = {'\n', '\n', '\r', '\n'};

/* ---- Pattern ---- */

typedef struct {
    PyObject_HEAD
    PyObject *head;   /* bytes */
    PyObject *tail;
    PyObject *loads;  /* reads JSON */
    int letters;      /* of a chunk's size: 'a', 'A', or 0 where no chunk is around an event */
} Pattern;

typedef struct {
    char *bytes;
    Py_ssize_t size, most;
} Buffer;

static int
add(Buffer *buffer, const char *bytes, Py_ssize_t size)
{
    if (size > buffer->most - buffer->size) {
        Py_ssize_t most = 2 * (buffer->size + size) + 64;
        char *grown = PyMem_Realloc(buffer->bytes, most);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        buffer->bytes = grown;
        buffer->most = most;
    }
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
    return 0;
}

static void
pattern_dealloc(Pattern *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->head);
    Py_XDECREF(self->tail);
    Py_XDECREF(self->loads);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int
pattern_init(Pattern *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"head", "tail", "size", "loads", NULL};
    PyObject *head, *tail, *loads;
    const char *size;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "SSyO:Pattern", names, &head, &tail, &size, &loads)) {
        return -1;
    }
    Py_XSETREF(self->head, Py_NewRef(head));
    Py_XSETREF(self->tail, Py_NewRef(tail));
    Py_XSETREF(self->loads, Py_NewRef(loads));
    self->letters = strcmp(size, "%x") == 0 ? 'a' : strcmp(size, "%X") == 0 ? 'A' : 0;
    return 0;
}

/* Where the body begins of the chunk of HTTP at `at`, and in `length` how long it is; NULL where no whole chunk is.
   `letters` is the first one of its size, 'a' or 'A'; 0 for either. */
static const char *
in_chunk(const char *at, const char *end, int letters, Py_ssize_t *length)
{
    Py_ssize_t size = 0;
    const char *start = at;
    for (; at < end && at - start < 8; at++) {
        int first = letters != 0 ? letters : *at >= 'a' ? 'a' : 'A';
        if (*at >= '0' && *at <= '9') {
            size = 16 * size + (*at - '0');
        }
        else if (*at >= first && *at < first + 6) {
            size = 16 * size + 10 + (*at - first);
        }
        else {
            break;
        }
    }
    if (at == start || *start == '0' || end - at < 2 || at[0] != '\r' || at[1] != '\n') {
        return NULL;
    }
    at += 2;
    if (size > end - at - 2 || at[size] != '\r' || at[size + 1] != '\n') {
        return NULL;
    }
    *length = size;
    return at;
}

/* The same of an event without a chunk around it. */
static const char *
whole_event(const char *at, const char *end, Py_ssize_t *length)
{
    const char *line = memchr(at, '\n', end - at);
    if (line == NULL || line + 1 == end || line[1] != '\n') {
        return NULL;
    }
    *length = line + 2 - at;
    return at;
}

/* Whether these are the inside of one JSON string that says something and stands for itself; -1 on an error. */
static int
is_text(const char *at, const char *end, int *escaped)
{
    const char *start = at;
    int wide = 0, escapes = 0;
    for (; at < end; at++) {
        unsigned char letter = (unsigned char)*at;
        if (letter == '"' || letter < 0x20) {
            return 0;
        }
        if (letter == '\\') {
            /* A code may be half of a pair, of which the other half follows: read in the usual way. */
            if (++at == end || *at == 0 || strchr("\"\\/bfnrt", *at) == NULL) {
                return 0;
            }
            escapes = 1;
        }
        wide |= letter & 0x80;
    }
    if (start == end) {
        return 0;
    }
    if (wide) {
        PyObject *text = PyUnicode_DecodeUTF8(start, end - start, NULL);
        if (text == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                return -1;
            }
            PyErr_Clear();
            return 0;
        }
        Py_DECREF(text);
    }
    *escaped |= escapes;
    return 1;
}

/* What was read: the insides of JSON strings in a row, and a stamp for each. */
typedef struct {
    Buffer text, stamps;
    int escaped;
} Reading;

static void
forget(Reading *reading)
{
    PyMem_Free(reading->text.bytes);
    PyMem_Free(reading->stamps.bytes);
    memset(reading, 0, sizeof *reading);
}

/* Read the events that a piece begins with and that are like the pattern; return how many bytes they fill, -1 on an
   error. */
static Py_ssize_t
read_piece(Pattern *self, const char *begin, Py_ssize_t length, int64_t stamp, Reading *reading)
{
    const char *head = PyBytes_AS_STRING(self->head), *tail = PyBytes_AS_STRING(self->tail);
    Py_ssize_t head_size = PyBytes_GET_SIZE(self->head), tail_size = PyBytes_GET_SIZE(self->tail);
    const char *at = begin, *end = begin + length;
    while (at < end) {
        Py_ssize_t size = 0;
        const char *event = self->letters ? in_chunk(at, end, self->letters, &size) : whole_event(at, end, &size);
        if (event == NULL || size < head_size + tail_size + 2 || memcmp(event, head, head_size) != 0 ||
            memcmp(event + size - tail_size, tail, tail_size) != 0) {
            break;
        }
        const char *inner = event + head_size, *over = event + size - tail_size;
        int text = *inner == '"' && over[-1] == '"' ? is_text(inner + 1, over - 1, &reading->escaped) : 0;
        if (text < 0) {
            return -1;
        }
        if (text == 0) {
            break;
        }
        if (add(&reading->text, inner + 1, over - inner - 2) < 0 ||
            add(&reading->stamps, (const char *)&stamp, sizeof stamp) < 0) {
            return -1;
        }
        at = event + size + (self->letters ? 2 : 0);
    }
    return at - begin;
}

/* Return the stamps that were read, as an array of type q has them, and the text. */
static PyObject *
said(Pattern *self, const Reading *reading)
{
    const Buffer *text = &reading->text, *stamps = &reading->stamps;
    PyObject *made;
    if (!reading->escaped) {
        made = PyUnicode_DecodeUTF8(text->size ? text->bytes : "", text->size, NULL);
    }
    else {
        PyObject *literal = PyBytes_FromStringAndSize(NULL, text->size + 2);
        if (literal == NULL) {
            return NULL;
        }
        char *out = PyBytes_AS_STRING(literal);
        out[0] = out[text->size + 1] = '"';
        memcpy(out + 1, text->bytes, text->size);
        made = PyObject_CallOneArg(self->loads, literal);
        Py_DECREF(literal);
    }
    return made == NULL ? NULL : Py_BuildValue("y#N", stamps->size ? stamps->bytes : "", stamps->size, made);
}

static PyObject *
pattern_read(Pattern *self, PyObject *args)
{
    PyObject *times, *datas;
    if (!PyArg_ParseTuple(args, "O!O!:read", &PyList_Type, &times, &PyList_Type, &datas)) {
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(datas), whole = 0, part = 0;
    if (self->head == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the pattern has not been made");
        return NULL;
    }
    if (PyList_GET_SIZE(times) != count) {
        PyErr_SetString(PyExc_ValueError, "as many stamps are needed as pieces");
        return NULL;
    }
    Reading reading = {0};
    PyObject *found = NULL;
    for (; whole < count; whole++) {
        PyObject *data = PyList_GET_ITEM(datas, whole);
        int64_t stamp = PyLong_AsLongLong(PyList_GET_ITEM(times, whole));
        if (stamp == -1 && PyErr_Occurred()) {
            goto done;
        }
        if (!PyBytes_Check(data)) {
            PyErr_SetString(PyExc_TypeError, "a piece is bytes");
            goto done;
        }
        part = read_piece(self, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), stamp, &reading);
        if (part < 0) {
            goto done;
        }
        if (part < PyBytes_GET_SIZE(data)) {
            break;
        }
        part = 0;
    }
    PyObject *both = said(self, &reading);
    if (both != NULL) {
        found = Py_BuildValue("OOnn", PyTuple_GET_ITEM(both, 0), PyTuple_GET_ITEM(both, 1), whole, part);
        Py_DECREF(both);
    }
done:
    forget(&reading);
    return found;
}

static PyMethodDef pattern_methods[] = {
    {"read", (PyCFunction)pattern_read, METH_VARARGS, "Read pieces with their stamps, up to the first event that is not like the pattern."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pattern_slots[] = {
    {Py_tp_doc, "What events of one reply have in common: see aisb_engine._stream.pattern."},
    {Py_tp_init, pattern_init},
    {Py_tp_dealloc, pattern_dealloc},
    {Py_tp_methods, pattern_methods},
    {0, NULL},
};

static PyType_Spec pattern_spec = {
    .name = "aisb_speedups._compiled.Pattern",
    .basicsize = sizeof(Pattern),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = pattern_slots,
};

/* ---- Arrivals ---- */

typedef struct {
    PyObject_HEAD
    PyObject *clock;   /* returns nanoseconds */
    PyObject *other;   /* called with a stamp and a piece that is not kept */
    PyObject *full;    /* called when so much waits that it should be worked out */
    PyObject *pieces;  /* lists; NULL while nothing is kept */
    PyObject *stamps;
    PyObject *pattern; /* what is like it is read at once; may be NULL */
    Reading reading;
    Py_ssize_t room;
    int64_t latest;    /* stamp of what came last, or -1 */
    long long began;   /* where the clock is this system's own, its zero; else -1 */
} Arrivals;

static int
arrivals_traverse(Arrivals *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->clock);
    Py_VISIT(self->other);
    Py_VISIT(self->full);
    Py_VISIT(self->pieces);
    Py_VISIT(self->stamps);
    Py_VISIT(self->pattern);
    return 0;
}

static int
arrivals_clear(Arrivals *self)
{
    Py_CLEAR(self->clock);
    Py_CLEAR(self->other);
    Py_CLEAR(self->full);
    Py_CLEAR(self->pieces);
    Py_CLEAR(self->stamps);
    Py_CLEAR(self->pattern);
    forget(&self->reading);
    self->room = 0;
    self->latest = -1;
    return 0;
}

static void
arrivals_dealloc(Arrivals *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    arrivals_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int
arrivals_init(Arrivals *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"clock", "other", "full", NULL};
    PyObject *clock, *other, *full;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:Arrivals", names, &clock, &other, &full)) {
        return -1;
    }
    arrivals_clear(self);
    self->clock = Py_NewRef(clock);
    self->other = Py_NewRef(other);
    self->full = Py_NewRef(full);
    self->began = -1;
#ifdef __linux__ /* where time.perf_counter_ns() is this very clock */
    PyObject *began = PyObject_GetAttrString(clock, "began_ns");
    if (began == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    self->began = PyLong_AsLongLong(began);
    Py_DECREF(began);
    if (self->began == -1 && PyErr_Occurred()) {
        return -1;
    }
#endif
    return 0;
}

/* Return the time, -1 on an error. */
static int64_t
arrivals_now(Arrivals *self)
{
#ifdef __linux__
    if (self->began >= 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec - self->began;
    }
#endif
    PyObject *now = PyObject_CallNoArgs(self->clock);
    int64_t stamp = now == NULL ? -1 : PyLong_AsLongLong(now);
    Py_XDECREF(now);
    return stamp;
}

/* Read a piece at once, or keep it; 0 when neither can be, -1 on an error. */
static int
take_in(Arrivals *self, PyObject *data, int64_t stamp)
{
    if (!PyBytes_CheckExact(data)) {
        return 0;
    }
    const char *bytes = PyBytes_AS_STRING(data);
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    if (self->pattern != NULL && PyList_GET_SIZE(self->pieces) == 0) {
        Reading *reading = &self->reading;
        Py_ssize_t text = reading->text.size, stamps = reading->stamps.size;
        Py_ssize_t read = read_piece((Pattern *)self->pattern, bytes, size, stamp, reading);
        if (read < 0) {
            return -1;
        }
        if (read == size) {
            self->room -= reading->text.size - text + reading->stamps.size - stamps;
            return 1;
        }
        reading->text.size = text;
        reading->stamps.size = stamps;
    }
    if (size < 4 || memcmp(bytes + size - 4, GOES_ON, 4) != 0) {
        return 0;
    }
    PyObject *number = PyLong_FromLongLong(stamp);
    int failed = number == NULL || PyList_Append(self->pieces, data) < 0 || PyList_Append(self->stamps, number) < 0;
    Py_XDECREF(number);
    self->room -= size;
    return failed ? -1 : 1;
}

static PyObject *
arrivals_receive(Arrivals *self, PyObject *data)
{
    int64_t stamp = arrivals_now(self);
    if (stamp == -1 && PyErr_Occurred()) {
        return NULL;
    }
    self->latest = stamp;
    int taken = self->room > 0 ? take_in(self, data, stamp) : 0;
    if (taken < 0) {
        return NULL;
    }
    if (taken) {
        if (self->room > 0) {
            Py_RETURN_NONE;
        }
        return PyObject_CallNoArgs(self->full);
    }
    PyObject *number = PyLong_FromLongLong(stamp);
    PyObject *result = number == NULL ? NULL : PyObject_CallFunctionObjArgs(self->other, number, data, NULL);
    Py_XDECREF(number);
    return result;
}

static PyObject *
arrivals_keep(Arrivals *self, PyObject *args)
{
    PyObject *pieces, *stamps, *pattern;
    Py_ssize_t room;
    if (!PyArg_ParseTuple(args, "O!O!nO:keep", &PyList_Type, &pieces, &PyList_Type, &stamps, &room, &pattern)) {
        return NULL;
    }
    if (pattern != Py_None && (Py_TYPE(pattern)->tp_dealloc != (destructor)pattern_dealloc ||
                               ((Pattern *)pattern)->head == NULL)) {
        PyErr_SetString(PyExc_TypeError, "a Pattern is needed, or None");
        return NULL;
    }
    Py_XSETREF(self->pieces, Py_NewRef(pieces));
    Py_XSETREF(self->stamps, Py_NewRef(stamps));
    if (pattern != self->pattern && self->reading.stamps.size == 0) {
        Py_XSETREF(self->pattern, pattern == Py_None ? NULL : Py_NewRef(pattern));
    }
    self->room = room;
    Py_RETURN_NONE;
}

static PyObject *
arrivals_read(Arrivals *self, PyObject *Py_UNUSED(ignored))
{
    if (self->reading.stamps.size == 0) {
        return Py_BuildValue("y#s", "", (Py_ssize_t)0, "");
    }
    PyObject *both = said((Pattern *)self->pattern, &self->reading);
    self->reading.text.size = self->reading.stamps.size = self->reading.escaped = 0;
    return both;
}

static PyObject *
arrivals_latest(Arrivals *self, PyObject *Py_UNUSED(ignored))
{
    if (self->latest < 0) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLongLong(self->latest);
}

static PyObject *
arrivals_stop(Arrivals *self, PyObject *Py_UNUSED(ignored))
{
    self->room = 0;
    self->latest = -1;
    Py_CLEAR(self->pieces);
    Py_CLEAR(self->stamps);
    Py_CLEAR(self->pattern);
    forget(&self->reading);
    Py_RETURN_NONE;
}

static PyMethodDef arrivals_methods[] = {
    {"receive", (PyCFunction)arrivals_receive, METH_O, "Take a piece that has come."},
    {"keep", (PyCFunction)arrivals_keep, METH_VARARGS, "Keep pieces and stamps in these lists, up to so many bytes."},
    {"read", (PyCFunction)arrivals_read, METH_NOARGS, "Return the stamps and the text of what was read at once."},
    {"latest", (PyCFunction)arrivals_latest, METH_NOARGS, "Return the stamp of what came last, or None."},
    {"stop", (PyCFunction)arrivals_stop, METH_NOARGS, "Keep nothing from here on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot arrivals_slots[] = {
    {Py_tp_doc, "What comes over one connection: see aisb_engine._stream.arrivals."},
    {Py_tp_init, arrivals_init},
    {Py_tp_traverse, arrivals_traverse},
    {Py_tp_clear, arrivals_clear},
    {Py_tp_dealloc, arrivals_dealloc},
    {Py_tp_methods, arrivals_methods},
    {0, NULL},
};

static PyType_Spec arrivals_spec = {
    .name = "aisb_speedups._compiled.Arrivals",
    .basicsize = sizeof(Arrivals),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = arrivals_slots,
};

/* ---- Events in whole chunks ---- */

/* Append the events of one line each in [at, end) to a list; 0 where there is anything else, -1 on an error. */
static int
add_events(PyObject *events, PyObject *stamp, const char *at, const char *end)
{
    while (at < end) {
        const char *line = memchr(at, '\n', end - at);
        if (line == NULL || line + 1 == end || line[1] != '\n' || line - at < 6 || memcmp(at, "data: ", 6) != 0 ||
            memchr(at, '\r', line - at) != NULL) {
            return 0;
        }
        if (line - at > 6) { /* one without data says nothing */
            PyObject *payload = PyBytes_FromStringAndSize(at + 6, line - at - 6);
            PyObject *event = payload == NULL ? NULL : PyTuple_Pack(2, stamp, payload);
            int failed = event == NULL || PyList_Append(events, event) < 0;
            Py_XDECREF(payload);
            Py_XDECREF(event);
            if (failed) {
                return -1;
            }
        }
        at = line + 2;
    }
    return 1;
}

static PyObject *
events_in(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *times, *datas;
    if (!PyArg_ParseTuple(args, "O!O!:events_in", &PyList_Type, &times, &PyList_Type, &datas)) {
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(datas), whole = 0, part = 0;
    if (PyList_GET_SIZE(times) != count) {
        PyErr_SetString(PyExc_ValueError, "as many stamps are needed as pieces");
        return NULL;
    }
    PyObject *events = PyList_New(0), *found = NULL;
    if (events == NULL) {
        return NULL;
    }
    for (; whole < count; whole++) {
        PyObject *data = PyList_GET_ITEM(datas, whole);
        if (!PyBytes_Check(data)) {
            PyErr_SetString(PyExc_TypeError, "a piece is bytes");
            goto done;
        }
        const char *begin = PyBytes_AS_STRING(data), *at = begin, *end = begin + PyBytes_GET_SIZE(data);
        while (at < end) {
            Py_ssize_t size = 0, before = PyList_GET_SIZE(events);
            const char *body = in_chunk(at, end, 0, &size);
            int added = body == NULL ? 0 : add_events(events, PyList_GET_ITEM(times, whole), body, body + size);
            if (added < 0) {
                goto done;
            }
            if (added == 0) {
                if (PyList_SetSlice(events, before, PyList_GET_SIZE(events), NULL) < 0) {
                    goto done;
                }
                break;
            }
            at = body + size + 2;
        }
        if (at < end) {
            part = at - begin;
            break;
        }
    }
    found = Py_BuildValue("(Onn)", events, whole, part);
done:
    Py_DECREF(events);
    return found;
}

/* ---- Gaps ---- */

static PyObject *
gaps(PyObject *Py_UNUSED(module), PyObject *stamps)
{
    Py_buffer view;
    if (PyObject_GetBuffer(stamps, &view, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0) {
        return NULL;
    }
    PyObject *made = NULL;
    if (view.itemsize != sizeof(int64_t) || view.format == NULL || strcmp(view.format, "q") != 0) {
        PyErr_SetString(PyExc_TypeError, "stamps are an array of type q");
        goto done;
    }
    Py_ssize_t count = view.len / (Py_ssize_t)sizeof(int64_t);
    const int64_t *at = view.buf;
    made = PyBytes_FromStringAndSize(NULL, count > 1 ? (count - 1) * (Py_ssize_t)sizeof(uint32_t) : 0);
    if (made == NULL) {
        goto done;
    }
    char *out = PyBytes_AS_STRING(made);
    for (Py_ssize_t number = 1; number < count; number++, out += sizeof(uint32_t)) {
        uint64_t gap = (uint64_t)at[number] - (uint64_t)at[number - 1];
        if (at[number] < at[number - 1] || gap > UINT32_MAX) {
            Py_SETREF(made, Py_NewRef(Py_None));
            break;
        }
        uint32_t small = (uint32_t)gap;
        memcpy(out, &small, sizeof small);
    }
done:
    PyBuffer_Release(&view);
    return made;
}

/* ---- The module ---- */

static PyMethodDef compiled_methods[] = {
    {"events_in", events_in, METH_VARARGS, "Return the events in whole chunks of HTTP: see aisb_engine._stream.compiled."},
    {"gaps", gaps, METH_O, "Return the differences of stamps in a row: see aisb_engine._stream.gaps."},
    {NULL, NULL, 0, NULL},
};

static int
compiled_exec(PyObject *module)
{
    PyType_Spec *specs[] = {&arrivals_spec, &pattern_spec};
    for (size_t number = 0; number < sizeof(specs) / sizeof(*specs); number++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[number], NULL);
        int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0;
        Py_XDECREF(type);
        if (failed) {
            return -1;
        }
    }
    return PyModule_AddIntConstant(module, "REVISION", REVISION);
}

static PyModuleDef_Slot compiled_slots[] = {
    {Py_mod_exec, compiled_exec},
    {0, NULL},
};

static struct PyModuleDef compiled = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "aisb_speedups._compiled",
    .m_doc = "What every streamed chunk passes, compiled.",
    .m_methods = compiled_methods,
    .m_slots = compiled_slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&compiled);
}
