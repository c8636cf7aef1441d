/** A provider as SOS Expat keeps it: a lawyer, or an expat who helps. The quota is what this product reads. */
export interface ProviderDocument {
  type: "lawyer" | "expat";
  firstName: string;
  lastName: string;
  country: string;
  languages: string[];
  isApproved: boolean;
  isOnline: boolean;
  rating: number;
  reviewCount: number;
  createdAt: Date;
  aiCallsUsed: number;
  /** Left out where the default limit applies. */
  aiCallsLimit?: number;
}

export interface Provider {
  id: string;
  data: ProviderDocument;
}

/** Used up: its check answers no until its limit is raised. */
export const EXHAUSTED_PROVIDER_ID = "helper-001";

const LAWYERS = 360;
const FIRST_CREATED = Date.UTC(2024, 0, 8, 9);
const DAY_MS = 86_400_000;
const FIRST_NAMES = ["Amélie", "Bao", "Camille", "Diego", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas"];
const LAST_NAMES = [
  "Almeida",
  "Bernard",
  "Costa",
  "Dubois",
  "Eriksen",
  "Fischer",
  "Garcia",
  "Haddad",
  "Nguyen",
];
const COUNTRIES = ["FR", "TH", "ES", "PT", "DE", "CA", "AE", "VN", "MA", "BR", "GB", "US"];
const LANGUAGES = ["fr", "en", "es", "de", "pt", "ar", "th", "vi"];
const LIMITS = [50, 100, 100, 100, 200, 500];

/** Makes providers, the same ones each time. Some have no limit of their own, some are blocked, some have used all. */
export function makeProviders(count: number): Provider[] {
  const random = randomNumbers(600);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  return Array.from({ length: count }, (_, index) => {
    const isLawyer = index < LAWYERS;
    const number = isLawyer ? index + 1 : index - LAWYERS + 1;
    const id = `${isLawyer ? "lawyer" : "helper"}-${String(number).padStart(3, "0")}`;
    const own = pick(LANGUAGES);
    const data: ProviderDocument = {
      type: isLawyer ? "lawyer" : "expat",
      firstName: pick(FIRST_NAMES),
      lastName: pick(LAST_NAMES),
      country: pick(COUNTRIES),
      languages: [...new Set([own, "en", pick(LANGUAGES)])],
      isApproved: random() < 0.95,
      isOnline: random() < 0.4,
      rating: Math.round(35 + random() * 15) / 10,
      reviewCount: Math.floor(random() * 240),
      createdAt: new Date(FIRST_CREATED + Math.floor(random() * 700) * DAY_MS),
      ...makeQuota(random, pick(LIMITS)),
    };
    if (id === EXHAUSTED_PROVIDER_ID) Object.assign(data, { aiCallsUsed: 100, aiCallsLimit: 100 });
    return { id, data };
  });
}

function makeQuota(
  random: () => number,
  limit: number,
): Pick<ProviderDocument, "aiCallsUsed" | "aiCallsLimit"> {
  const chance = random();
  const share = random();
  if (chance < 0.05) return { aiCallsUsed: Math.floor(share * 90) };
  if (chance < 0.07) return { aiCallsUsed: 0, aiCallsLimit: 0 };
  if (chance < 0.15) return { aiCallsUsed: limit, aiCallsLimit: limit };
  return { aiCallsUsed: Math.floor(share * limit), aiCallsLimit: limit };
}

/** Numbers in [0, 1) that follow from the seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
