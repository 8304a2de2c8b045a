/** Answers the calls of the tests. */
final class AisbProgram {
    public static void main(String[] args) throws Exception {
        AisbWire.serve(Solution.class);
    }
}
