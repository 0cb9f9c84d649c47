import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useSyncExternalStore,
} from "react";
import { userIdsOf } from "./args.ts";
import type { Client } from "./client.ts";
import type { ConnectionState } from "./connection.ts";
import type { ShownMessage } from "./message.ts";
import type { Observable } from "./observable.ts";
import type { Presences } from "./presences.ts";
import type { Room } from "./room.ts";
import type { RoomState } from "./room-state.ts";
import type { RoomSummary } from "./rooms.ts";
import type { Totals } from "./wire.ts";

const ChatContext = createContext<Client | undefined>(undefined);

/** Gives the hooks below it their client, which is connected while this is mounted. */
export function ChatProvider(props: { client: Client; children?: ReactNode }): ReactElement {
  const { client, children } = props;
  useEffect(() => {
    client.connect();
    return () => client.close();
  }, [client]);
  return createElement(ChatContext.Provider, { value: client }, children);
}

/** The client of the ChatProvider above. */
export function useChat(): Client {
  const client = useContext(ChatContext);
  if (!client) throw new Error("There is no ChatProvider above.");
  return client;
}

/** What an observable holds, or what `select` takes of it: the same object while it does not change. */
export function useObservable<T, Part = T>(
  observable: Observable<T>,
  select: (value: T) => Part = (value) => value as unknown as Part,
): Part {
  const read = () => select(observable.value);
  return useSyncExternalStore((changed) => observable.subscribe(changed), read, read);
}

export const useConnection = (): ConnectionState => useObservable(useChat().connection);

export const useUnread = (): Totals => useObservable(useChat().unread);

/** The rooms by last activity. */
export function useRooms({ hidden = false }: { hidden?: boolean } = {}): readonly RoomSummary[] {
  return useObservable(useChat().rooms({ hidden }));
}

/** A room and its state; it is watched while the component is mounted. */
export function useRoom(room_id: string): RoomState & { readonly actions: Room } {
  const room = useWatched(room_id);
  const state = useObservable(room.state);
  return useMemo(() => ({ ...state, actions: room }), [state, room]);
}

/** The messages of a room, which is watched while the component is mounted. */
export function useMessages(room_id: string): readonly ShownMessage[] {
  return useObservable(useWatched(room_id).state, ({ messages }) => messages);
}

/** user_ids of others who type in a room. */
export function useTyping(room_id: string): readonly string[] {
  return useObservable(useChat().room(room_id).state, ({ typing }) => typing);
}

/** How users are, by id; who is not in it is offline, or not known. */
export function usePresence(user_ids: readonly string[]): Presences {
  const client = useChat();
  const key = userIdsOf("userIds", user_ids).join(" ");
  const presence = useMemo(() => client.presence(key ? key.split(" ") : []), [client, key]);
  return useObservable(presence);
}

function useWatched(room_id: string): Room {
  const room = useChat().room(room_id);
  useEffect(() => room.watch(), [room]);
  return room;
}
