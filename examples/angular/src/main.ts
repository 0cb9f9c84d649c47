import "@angular/compiler"; // compiles templates in the browser; `ng build` does it before
import { bootstrapApplication } from "@angular/platform-browser";
import { provideChat } from "rts-chat/angular";
import { App } from "./app";

const server = import.meta.env.VITE_CHAT_URL ?? "http://127.0.0.1:8000";
const user = new URLSearchParams(location.search).get("user") ?? "alice";
const getToken = async () => (await (await fetch(`${server}/dev/token?user=${user}`)).json()).token;

bootstrapApplication(App, { providers: [provideChat({ url: server, getToken })] });
