/** Runs the tests and says their end. */
final class AisbTests {
    public static void main(String[] args) {
        try {
            Main.main(args);
            AisbWire.verdict(null);
        } catch (Throwable error) {
            AisbWire.verdict(error);
        }
    }
}
