import com.sun.net.httpserver.HttpServer;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.channels.ServerSocketChannel;

/** A listener of Java's, as a program makes it that sets nothing: KIND PORT [ADDRESS]. */
public class Sockets {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[1]);
        InetSocketAddress at = args.length > 2 ? new InetSocketAddress(args[2], port) : new InetSocketAddress(port);
        switch (args[0]) {
            case "http" -> HttpServer.create(at, 0).start();
            case "socket" -> {
                ServerSocket server = new ServerSocket();
                server.bind(at);
                server.accept();
            }
            case "channel" -> ServerSocketChannel.open().bind(at).accept();
            default -> new DatagramSocket(at).receive(new DatagramPacket(new byte[1], 1));
        }
    }
}
