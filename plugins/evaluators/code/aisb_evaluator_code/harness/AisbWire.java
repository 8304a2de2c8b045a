// Carries the arguments and results of one method between a program and its tests, which are two processes.
// Values of the standard library travel; any other object arrives as one that equals nothing.
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

final class AisbWire {
    static final int LARGEST = 64 << 20;
    private static InputStream reading;
    private static OutputStream writing;

    private AisbWire() {}

    static final class Closed extends RuntimeException {
        Closed(String words) {
            super(words);
        }
    }

    /** What the program raised. */
    static final class Raised extends RuntimeException {
        Raised(String words) {
            super(words);
        }
    }

    /** Return a descriptor that this process was given; a socket cannot be opened by its name in /proc. */
    private static FileDescriptor descriptor(int number) throws IOException {
        try {
            Constructor<FileDescriptor> make = FileDescriptor.class.getDeclaredConstructor(int.class);
            make.setAccessible(true);
            return make.newInstance(number);
        } catch (ReflectiveOperationException error) {
            throw new IOException(error);
        }
    }

    private static void open() throws IOException {
        if (reading == null) {
            reading = new FileInputStream(descriptor(3));
            writing = new FileOutputStream(descriptor(4));
        }
    }

    private static void send(byte[] data) {
        try {
            open();
            ByteArrayOutputStream whole = new ByteArrayOutputStream();
            new DataOutputStream(whole).writeInt(data.length);
            whole.write(data);
            writing.write(whole.toByteArray());
            writing.flush();
        } catch (IOException error) {
            throw new Closed(String.valueOf(error.getMessage()));
        }
    }

    private static DataInputStream receive() {
        try {
            open();
            DataInputStream in = new DataInputStream(reading);
            int size = in.readInt();
            if (size < 0 || size > LARGEST) {
                throw new Closed("a message of " + size + " bytes");
            }
            byte[] data = new byte[size];
            in.readFully(data);
            return new DataInputStream(new ByteArrayInputStream(data));
        } catch (IOException error) {
            throw new Closed(String.valueOf(error.getMessage()));
        }
    }

    /** In the tests: have the program call its method. `type` is the declared type of the result. */
    @SuppressWarnings("unchecked")
    static <T> T call(String type, String name, Object... given) {
        try {
            ByteArrayOutputStream data = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(data);
            out.writeUTF(name);
            out.writeInt(given.length);
            for (Object one : given) {
                put(out, one, 0);
            }
            send(data.toByteArray());
            DataInputStream in = receive();
            if (!in.readBoolean()) {
                throw new Raised(in.readUTF());
            }
            Object value = get(in, 0);
            for (Object one : given) {
                if (comesBack(one)) {
                    change(one, get(in, 0));
                }
            }
            return (T) as(type, value);
        } catch (IOException error) {
            throw new Closed(String.valueOf(error.getMessage()));
        }
    }

    /** In the program: answer the tests' calls until they end. */
    static void serve(Class<?> type) throws IOException {
        Object self = null;
        while (true) {
            DataInputStream in = receive();
            String name = in.readUTF();
            Object[] given = new Object[in.readInt()];
            for (int n = 0; n < given.length; n++) {
                given[n] = get(in, 0);
            }
            ByteArrayOutputStream data = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(data);
            try {
                if (self == null) {
                    Constructor<?> make = type.getDeclaredConstructor();
                    make.setAccessible(true);
                    self = make.newInstance();
                }
                Object value = invoke(type, self, name, given);
                out.writeBoolean(true);
                put(out, value, 0);
                for (Object one : given) {
                    if (comesBack(one)) {
                        put(out, one, 0);
                    }
                }
            } catch (Throwable error) {
                data.reset();
                out = new DataOutputStream(data);
                out.writeBoolean(false);
                out.writeUTF(words(error instanceof InvocationTargetException ? error.getCause() : error));
            }
            send(data.toByteArray());
        }
    }

    private static Object invoke(Class<?> type, Object self, String name, Object[] given) throws Throwable {
        Throwable last = new NoSuchMethodException("there is no method " + name + " with " + given.length + " arguments");
        for (Method method : type.getDeclaredMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == given.length) {
                method.setAccessible(true);
                try {
                    return method.invoke(self, given);
                } catch (IllegalArgumentException error) {
                    last = error;  // another method of this name may take them
                }
            }
        }
        throw last;
    }

    private static String words(Throwable error) {
        String words = error.getClass().getSimpleName();
        String message = error.getMessage();
        words += message == null ? "" : ": " + (message.length() > 300 ? message.substring(0, 300) : message);
        for (StackTraceElement frame : error.getStackTrace()) {
            if ("Solution.java".equals(frame.getFileName())) {
                return words + " (line " + frame.getLineNumber() + " of the program)";
            }
        }
        return words;
    }

    private static boolean comesBack(Object value) {
        return value instanceof List || value instanceof Map || value instanceof Set || value != null && value.getClass().isArray();
    }

    /** Make a list, table, set or array of the tests what the program has made of it. */
    @SuppressWarnings("unchecked")
    private static void change(Object own, Object after) {
        if (own instanceof List && after instanceof List && !own.equals(after)) {
            if (((List<?>) own).size() == ((List<?>) after).size()) {
                for (int n = 0; n < ((List<?>) own).size(); n++) {
                    ((List<Object>) own).set(n, ((List<?>) after).get(n));
                }
            } else {
                ((List<Object>) own).clear();
                ((List<Object>) own).addAll((List<?>) after);
            }
        } else if (own instanceof Map && after instanceof Map && !own.equals(after)) {
            ((Map<Object, Object>) own).clear();
            ((Map<Object, Object>) own).putAll((Map<?, ?>) after);
        } else if (own instanceof Set && after instanceof Set && !own.equals(after)) {
            ((Set<Object>) own).clear();
            ((Set<Object>) own).addAll((Set<?>) after);
        } else if (own != null && own.getClass().isArray() && after != null && own.getClass() == after.getClass()) {
            System.arraycopy(after, 0, own, 0, Math.min(Array.getLength(own), Array.getLength(after)));
        }
    }

    /** Return a number as the declared type has it, where it is the same number there. */
    private static Object as(String type, Object value) {
        if (!(value instanceof Number)) {
            return value;
        }
        Number number = (Number) value;
        boolean whole = value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte;
        switch (type) {
            case "int": case "Integer":
                return whole && number.longValue() == number.intValue() ? (Object) number.intValue() : value;
            case "long": case "Long":
                return whole ? (Object) number.longValue() : value;
            case "double": case "Double":
                return whole || value instanceof Float ? (Object) number.doubleValue() : value;
            case "float": case "Float":
                return whole ? (Object) number.floatValue() : value;
            default:
                return value;
        }
    }

    private static void text(DataOutputStream out, String text) throws IOException {
        out.writeInt(text.length());
        out.writeChars(text);  // as they are: an encoding would change half a character
    }

    private static int count(DataInputStream in) throws IOException {
        int many = in.readInt();
        if (many < 0 || many > in.available()) {
            throw new Closed("a list of " + many);
        }
        return many;
    }

    private static String text(DataInputStream in) throws IOException {
        char[] read = new char[count(in)];
        for (int n = 0; n < read.length; n++) {
            read[n] = in.readChar();
        }
        return new String(read).intern();  // some tests compare texts by identity with their own
    }

    private static void many(DataOutputStream out, char tag, Collection<?> values, int depth) throws IOException {
        Object[] all = values.toArray();
        out.writeByte(tag);
        out.writeInt(all.length);
        for (Object one : all) {
            put(out, one, depth + 1);
        }
    }

    static void put(DataOutputStream out, Object value, int depth) throws IOException {
        if (depth > 200) {
            throw new IOException("a value that is nested too deeply");
        } else if (value == null) {
            out.writeByte('n');
        } else if (value instanceof Boolean) {
            out.writeByte('b');
            out.writeBoolean((Boolean) value);
        } else if (value instanceof Integer) {
            out.writeByte('i');
            out.writeInt((Integer) value);
        } else if (value instanceof Long) {
            out.writeByte('l');
            out.writeLong((Long) value);
        } else if (value instanceof Double) {
            out.writeByte('d');
            out.writeDouble((Double) value);
        } else if (value instanceof Float) {
            out.writeByte('f');
            out.writeFloat((Float) value);
        } else if (value instanceof Character) {
            out.writeByte('c');
            out.writeChar((Character) value);
        } else if (value instanceof Short) {
            out.writeByte('h');
            out.writeShort((Short) value);
        } else if (value instanceof Byte) {
            out.writeByte('y');
            out.writeByte((Byte) value);
        } else if (value instanceof String) {
            out.writeByte('s');
            text(out, (String) value);
        } else if (value.getClass() == BigInteger.class || value.getClass() == BigDecimal.class) {
            out.writeByte(value instanceof BigInteger ? 'I' : 'D');
            text(out, value.toString());
        } else if (value instanceof Optional) {
            out.writeByte('o');
            put(out, ((Optional<?>) value).orElse(null), depth + 1);
        } else if (value instanceof List || value instanceof Deque) {
            many(out, 'L', (Collection<?>) value, depth);
        } else if (value instanceof Set) {
            many(out, 'S', (Collection<?>) value, depth);
        } else if (value instanceof Map) {
            Object[] all = ((Map<?, ?>) value).entrySet().toArray();
            out.writeByte('M');
            out.writeInt(all.length);
            for (Object one : all) {
                put(out, ((Map.Entry<?, ?>) one).getKey(), depth + 1);
                put(out, ((Map.Entry<?, ?>) one).getValue(), depth + 1);
            }
        } else if (value.getClass().isArray()) {
            out.writeByte('A');
            out.writeUTF(value.getClass().getName());
            out.writeInt(Array.getLength(value));
            for (int n = 0; n < Array.getLength(value); n++) {
                put(out, Array.get(value, n), depth + 1);
            }
        } else {
            out.writeByte('x');
        }
    }

    static Object get(DataInputStream in, int depth) throws IOException {
        if (depth > 200) {
            throw new Closed("a value that is nested too deeply");
        }
        char tag = (char) in.readByte();
        switch (tag) {
            case 'n': return null;
            case 'b': return in.readBoolean();
            case 'i': return in.readInt();
            case 'l': return in.readLong();
            case 'd': return in.readDouble();
            case 'f': return in.readFloat();
            case 'c': return in.readChar();
            case 'h': return in.readShort();
            case 'y': return in.readByte();
            case 's': return text(in);
            case 'I': return new BigInteger(text(in));
            case 'D': return new BigDecimal(text(in));
            case 'o': return Optional.ofNullable(get(in, depth + 1));
            case 'x': return new Object();
            default: break;
        }
        if (tag == 'A') {
            return array(in, depth);
        }
        int many = count(in);
        if (tag == 'M') {
            Map<Object, Object> made = new LinkedHashMap<>();
            for (int n = 0; n < many; n++) {
                Object key = get(in, depth + 1);
                made.put(key, get(in, depth + 1));
            }
            return made;
        }
        if (tag != 'L' && tag != 'S') {
            throw new Closed("no value");
        }
        Collection<Object> made = tag == 'L' ? new ArrayList<>() : new LinkedHashSet<>();
        for (int n = 0; n < many; n++) {
            made.add(get(in, depth + 1));
        }
        return made;
    }

    private static Object array(DataInputStream in, int depth) throws IOException {
        String name = in.readUTF();
        int many = count(in);
        boolean known = name.matches("\\[+([ZBCDFIJS]|Ljava\\.(lang|util)\\.\\w+;)");
        Class<?> type;
        try {
            type = known ? Class.forName(name, false, null).getComponentType() : Object.class;
        } catch (ClassNotFoundException error) {
            type = Object.class;
        }
        Object made = Array.newInstance(type, many);
        for (int n = 0; n < many; n++) {
            Object one = get(in, depth + 1);
            try {
                Array.set(made, n, one);
            } catch (IllegalArgumentException | NullPointerException error) {
                throw new Closed("an element of another type");
            }
        }
        return made;
    }

    /** Say the verdict over the pipe that the program does not have. */
    static void verdict(Throwable error) {
        String words = "{\"passed\": true}";
        if (error != null) {
            boolean closed = error instanceof Closed;
            String problem = closed ? "the program ended before the tests did"
                : error instanceof Raised ? error.getMessage()
                : error.getClass().getSimpleName() + ": " + (error.getMessage() == null ? "" : error.getMessage());
            words = "{\"passed\": false, \"closed\": " + closed + ", \"line\": " + line(error) + ", \"problem\": \"" + quoted(problem) + "\"}";
        }
        try (OutputStream out = new FileOutputStream(descriptor(5))) {
            out.write(words.getBytes(StandardCharsets.UTF_8));
        } catch (IOException failed) {
            Runtime.getRuntime().halt(3);
        }
        Runtime.getRuntime().halt(0);
    }

    private static int line(Throwable error) {
        for (StackTraceElement frame : error.getStackTrace()) {
            if ("Main".equals(frame.getClassName())) {
                return frame.getLineNumber();
            }
        }
        return 0;
    }

    private static String quoted(String words) {
        StringBuilder made = new StringBuilder();
        for (char one : words.substring(0, Math.min(words.length(), 400)).toCharArray()) {
            made.append(one == '"' || one == '\\' || one < ' ' || one > '~' ? String.format("\\u%04x", (int) one) : String.valueOf(one));
        }
        return made.toString();
    }
}
