// Answers a question that the engines answer differently six times, each time without one of the things that README.md lists
// as kept different on purpose:
//   1. asked alone, by an engine that was asked nothing before;
//   2. and without the policies that, alone, say nothing to the request;
//   3., 4. with recurrences worked out by counting minutes, in UTC, instead of by Ranger's arithmetic on calendars;
//   5., 6. and in the time zone of their schedule; each with all policies, then without the silent ones.
import com.google.gson.*;
import java.time.*;
import java.util.*;
import org.apache.ranger.plugin.model.*;
import org.apache.ranger.plugin.policyengine.RangerPolicyEngineImpl;
import org.apache.ranger.plugin.policyevaluator.RangerValidityScheduleEvaluator;

class Again {
    final JsonObject doc;
    final String defs;

    Again(JsonObject doc, String defs) {
        this.doc = doc;
        this.defs = defs;
    }

    void run(List<String> answers) throws Exception {
        String kind = doc.getAsJsonArray("kinds").get(0).getAsString();
        JsonObject request = doc.getAsJsonArray("requests").get(0).getAsJsonObject();
        for (JsonObject d : Arrays.asList(doc, counted(request, false), counted(request, true))) {
            answers.add(ask(d, request, kind));
            answers.add(ask(withoutSilent(d, request, kind), request, kind));
        }
    }

    String ask(JsonObject d, JsonObject request, String kind) throws Exception {
        return Driver.tryAnswer(d, Driver.engine(d, d.getAsJsonObject("suite"), defs), request.deepCopy(), kind);
    }

    // The policies of a document: on resources, in zones, on tags.
    static List<JsonArray> lists(JsonObject d) {
        JsonObject suite = d.getAsJsonObject("suite");
        List<JsonArray> lists = new ArrayList<>();
        lists.add(suite.getAsJsonArray("policies"));
        if (suite.has("securityZones"))
            for (Map.Entry<String, JsonElement> zone : suite.getAsJsonObject("securityZones").entrySet())
                lists.add(zone.getValue().getAsJsonObject().getAsJsonArray("policies"));
        if (suite.has("tagPolicyInfo")) lists.add(suite.getAsJsonObject("tagPolicyInfo").getAsJsonArray("tagPolicies"));
        return lists;
    }

    JsonObject withoutSilent(JsonObject d, JsonObject request, String kind) throws Exception {
        JsonObject left = d.deepCopy();
        List<JsonArray> lists = lists(left);
        for (int n = 0; n < lists.size(); n++)
            for (Iterator<JsonElement> i = lists.get(n).iterator(); i.hasNext(); )
                if (isSilent(d, n, i.next(), request, kind)) i.remove();
        return left;
    }

    // Whether a policy of the nth list, where there is no other, decides nothing: of what is asked for, nor of any access type
    // of the service where any of several is asked for.
    boolean isSilent(JsonObject d, int n, JsonElement policy, JsonObject request, String kind) throws Exception {
        JsonObject alone = d.deepCopy();
        List<JsonArray> lists = lists(alone);
        for (JsonArray list : lists) while (list.size() > 0) list.remove(0);
        lists.get(n).add(policy);
        List<JsonObject> requests = new ArrayList<>(Collections.singletonList(request));
        String access = request.get("accessType").getAsString();
        boolean any = access.isEmpty() || access.equals("_any"), several = request.has("context") && request.getAsJsonObject("context").has("ALLACCESSTYPES");
        if (any || several)
            for (RangerServiceDef.RangerAccessTypeDef type : Driver.def(d.getAsJsonObject("suite").get("serviceDef"), defs).getAccessTypes()) {
                JsonObject one = request.deepCopy();
                one.addProperty("accessType", type.getName());
                if (any) one.addProperty("resourceMatchingScope", "SELF_OR_DESCENDANTS");
                if (several) for (String key : new String[] {"ALLACCESSTYPES", "ALLACCESSTYPEGROUPS", "ISANYACCESS"}) one.getAsJsonObject("context").remove(key);
                requests.add(one);
            }
        RangerPolicyEngineImpl engine = Driver.engine(alone, alone.getAsJsonObject("suite"), defs);
        for (JsonObject one : requests) if (!Driver.tryAnswer(alone, engine, one.deepCopy(), kind).endsWith(":-1")) return false;
        return true;
    }

    // The document with every validity that recurs replaced by whether it is open at the time of the request.
    JsonObject counted(JsonObject request, boolean inZone) {
        JsonObject d = doc.deepCopy();
        long time = request.get("accessTime").getAsLong();
        for (JsonArray list : lists(d))
            for (Iterator<JsonElement> i = list.iterator(); i.hasNext(); )
                if (!decide(i.next().getAsJsonObject(), "validitySchedules", time, inZone)) i.remove();
        if (d.has("serviceTags")) {
            JsonObject tags = d.getAsJsonObject("serviceTags");
            for (Map.Entry<String, JsonElement> tag : tags.getAsJsonObject("tags").entrySet())
                if (!decide(tag.getValue().getAsJsonObject(), "validityPeriods", time, inZone))
                    for (Map.Entry<String, JsonElement> held : tags.getAsJsonObject("resourceToTagIds").entrySet())
                        held.getValue().getAsJsonArray().remove(new JsonPrimitive(Long.valueOf(tag.getKey())));
        }
        return d;
    }

    // Takes the validity away, and returns whether it is open; leaves one that does not recur.
    static boolean decide(JsonObject owner, String field, long time, boolean inZone) {
        if (!owner.has(field) || !owner.get(field).toString().contains("recurrences")) return true;
        JsonArray schedules = owner.remove(field).getAsJsonArray();
        for (JsonElement s : schedules) if (isOpen(s.getAsJsonObject(), time, inZone)) return true;
        return false;
    }

    static boolean isOpen(JsonObject schedule, long time, boolean inZone) {
        JsonObject bounds = schedule.deepCopy();
        bounds.remove("recurrences");
        if (!new RangerValidityScheduleEvaluator(Driver.gson.fromJson(bounds, RangerValiditySchedule.class)).isApplicable(time)) return false;
        if (!schedule.has("recurrences")) return true;
        String zone = inZone && schedule.has("timeZone") ? schedule.get("timeZone").getAsString() : "";
        for (JsonElement r : schedule.getAsJsonArray("recurrences"))
            if (recurs(r.getAsJsonObject(), Instant.ofEpochMilli(time).atZone(ZoneId.of(zone.isEmpty() ? "UTC" : zone)))) return true;
        return false;
    }

    // Whether a recurrence begins in one of the minutes between now and an interval before.
    static boolean recurs(JsonObject recurrence, ZonedDateTime now) {
        JsonObject s = recurrence.getAsJsonObject("schedule"), interval = recurrence.getAsJsonObject("interval");
        long minutes = interval.get("days").getAsLong() * 1440 + interval.get("hours").getAsLong() * 60 + interval.get("minutes").getAsLong();
        if (minutes == 0) return true;
        ZonedDateTime oldest = now.minusMinutes(minutes);
        for (ZonedDateTime t = now.withSecond(0).withNano(0); !t.isBefore(oldest); t = t.minusMinutes(1))
            if (names(s, "minute", t.getMinute()) && names(s, "hour", t.getHour()) && names(s, "month", t.getMonthValue()) && names(s, "year", t.getYear())
                && (names(s, "dayOfMonth", t.getDayOfMonth()) || names(s, "dayOfWeek", t.getDayOfWeek().getValue() % 7 + 1))) return true;
        return false;
    }

    static boolean names(JsonObject schedule, String field, int value) {
        if (!schedule.has(field)) return !field.startsWith("day");
        for (String part : schedule.get(field).getAsString().split(",")) {
            String[] range = part.trim().split("-");
            if (part.contains("*") || Integer.parseInt(range[0]) <= value && value <= Integer.parseInt(range[range.length - 1])) return true;
        }
        return false;
    }
}
